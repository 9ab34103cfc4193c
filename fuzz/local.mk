# fuzz/: the adversary.

noinst_LTLIBRARIES += libfuzz.la
libmoecheck_la_LIBADD += libfuzz.la

libfuzz_la_CFLAGS = $(EXACT_CFLAGS)
libfuzz_la_SOURCES =
