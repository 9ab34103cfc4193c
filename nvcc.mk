# The rules for .cu files, and short lines for them.
#
# Automake knows nothing of the suffix: it makes no folder in a VPATH build, no dependency files and
# no per-target flags. Flags of one file are a target-specific variable, after this file's own:
#     gpu/name.o: CU_FLAGS = -maxrregcount=168
# The user's NVCCFLAGS come last. -forward-unknown-to-host-compiler (in MOE_NVCCFLAGS) lets -f and -W
# options reach the host compiler.

SUFFIXES = .cu
AM_V_NVCC = $(am__v_NVCC_@AM_V@)
am__v_NVCC_ = $(am__v_NVCC_@AM_DEFAULT_V@)
am__v_NVCC_0 = @echo "  NVCC    " $@;
am__v_NVCC_1 =
AM_V_PTXAS = $(am__v_PTXAS_@AM_V@)
am__v_PTXAS_ = $(am__v_PTXAS_@AM_DEFAULT_V@)
am__v_PTXAS_0 = @echo "  PTXAS   " $@;
am__v_PTXAS_1 =

NVCC_COMPILE = $(NVCC) $(DEFS) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(CPPFLAGS) $(MOE_NVCCFLAGS)

# ---- host code in a .cu file: an object -------------------------------------------------------

.cu.o:
	$(AM_V_at)$(MKDIR_P) $(@D)
	$(AM_V_NVCC)$(NVCC_COMPILE) $(GENCODE) $(CU_FLAGS) $(NVCCFLAGS) -MD -MP -MF $(@:.o=.cud) -MT $@ \
		-c -o $@ $<

# Filled by the local.mk of the folders that have .cu files, one .o each.
CU_OBJECTS =
-include $(wildcard $(CU_OBJECTS:.o=.cud))
MOSTLYCLEANFILES += $(CU_OBJECTS) $(CU_OBJECTS:.o=.cud)

# ---- kernels: PTX, and a cubin from that very PTX ---------------------------------------------
#
# FOLDER/NAME.ARCH.ptx comes from FOLDER/NAME.cu, and FOLDER/NAME.ARCH.cubin from it; the .log has what
# ptxas tells of registers and shared memory. Filled by the local.mk of the folders that have kernels,
# with FOLDER/NAME.ARCH each; $(call kernel_codes,SOURCES,ARCHS) makes these names.
KERNEL_CODES =
kernel_codes = $(foreach arch,$(2),$(patsubst %.cu,%.$(arch),$(1)))
kernel_arch = $(patsubst .%,%,$(suffix $*))

# A second expansion finds the source: the name without its architecture.
.SECONDEXPANSION:
$(addsuffix .ptx,$(KERNEL_CODES)): %.ptx: $$(basename $$*).cu
	$(AM_V_at)$(MKDIR_P) $(@D)
	$(AM_V_NVCC)$(NVCC_COMPILE) -ptx -arch=compute_$(kernel_arch) $(CU_FLAGS) $(NVCCFLAGS) \
		-MD -MP -MF $@.d -MT $@ -o $@ $<

$(addsuffix .cubin,$(KERNEL_CODES)): %.cubin: %.ptx
	$(AM_V_PTXAS)$(PTXAS) -arch=sm_$(kernel_arch) -lineinfo -v $(PTXASFLAGS) -o $@ $< >$*.log 2>&1 || \
		{ cat $*.log; exit 1; }
	$(AM_V_at)grep -i warning $*.log || :
	$(AM_V_at)$(SHELL) $(srcdir)/gpu/ptxas_notes.sh $* || { rm -f $@; exit 1; }

-include $(wildcard $(addsuffix .ptx.d,$(KERNEL_CODES)))
MOSTLYCLEANFILES += $(foreach code,$(KERNEL_CODES),$(addprefix $(code),.ptx .ptx.d .cubin .log))

# $(call make_kernel_table,CODES): writes the table $@ of these codes, and their bytes beside it.
AM_V_EMBED = $(am__v_EMBED_@AM_V@)
am__v_EMBED_ = $(am__v_EMBED_@AM_DEFAULT_V@)
am__v_EMBED_0 = @echo "  EMBED   " $@;
am__v_EMBED_1 =
make_kernel_table = $(AM_V_EMBED)$(MKDIR_P) $(@D) && gpu/embed$(EXEEXT) $@ $(@:.c=.bin) $(1)
