# The rule for .cu files: objects, with the headers that they depend on, and a short line.
#
# Automake knows nothing of the suffix: it makes no folder in a VPATH build, no dependency files and
# no per-target flags. Flags of one file are a target-specific variable, after this rule's own:
#     gpu/name.o: CU_FLAGS = -maxrregcount=168
# The user's NVCCFLAGS come last. -forward-unknown-to-host-compiler (in MOE_NVCCFLAGS) lets -f and -W
# options reach the host compiler. Every .cu file includes config.h, so that another --with-gpu-archs
# compiles it anew.

SUFFIXES = .cu
AM_V_NVCC = $(am__v_NVCC_@AM_V@)
am__v_NVCC_ = $(am__v_NVCC_@AM_DEFAULT_V@)
am__v_NVCC_0 = @echo "  NVCC    " $@;
am__v_NVCC_1 =

NVCC_COMPILE = $(NVCC) $(DEFS) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(CPPFLAGS) $(MOE_NVCCFLAGS) \
	$(GENCODE) $(CU_FLAGS) $(NVCCFLAGS)

.cu.o:
	$(AM_V_at)$(MKDIR_P) $(@D)
	$(AM_V_NVCC)$(NVCC_COMPILE) -MD -MP -MF $(@:.o=.cud) -MT $@ -c -o $@ $<

# Filled by the local.mk of the folders that have .cu files, one .o each.
CU_OBJECTS =
-include $(wildcard $(CU_OBJECTS:.o=.cud))
MOSTLYCLEANFILES += $(CU_OBJECTS) $(CU_OBJECTS:.o=.cud)
