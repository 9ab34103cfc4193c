# gpu/: the implementations and the devices that they run on.

noinst_LTLIBRARIES += libgpu.la
libmoecheck_la_LIBADD += libgpu.la

libgpu_la_SOURCES = \
	%D%/gpu.h \
	%D%/probe.c
