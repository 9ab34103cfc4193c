# gpu/: the implementations and the devices that they run on.
#
# A new kernel file is its name in GPU_KERNELS, or, where it cannot be compiled for every architecture,
# in GPU_KERNELS_90a and the like. It holds extern "C" entries and no host code.

GPU_KERNELS = \
	%D%/kernels/route.cu \
	%D%/kernels/rounding.cu \
	%D%/kernels/rows.cu \
	%D%/kernels/elementwise.cu \
	%D%/kernels/fill.cu \
	%D%/kernels/disturb.cu
GPU_KERNELS_90a = \
	%D%/hopper/tiles.cu \
	%D%/hopper/product.cu \
	%D%/hopper/across.cu \
	%D%/hopper/across_forward.cu \
	%D%/hopper/forward.cu \
	%D%/hopper/back.cu \
	%D%/hopper/gradient.cu \
	%D%/hopper/picks.cu \
	%D%/hopper/routing.cu \
	%D%/hopper/scores_back.cu \
	%D%/hopper/rows.cu \
	%D%/hopper/router.cu \
	%D%/hopper/router_sums.cu \
	%D%/hopper/padded.cu
GPU_KERNELS_100a =
GPU_KERNELS_103a =
GPU_KERNEL_CUH = \
	%D%/kernels/number.cuh \
	%D%/kernels/activation.cuh \
	%D%/hopper/instructions.cuh \
	%D%/hopper/ring.cuh \
	%D%/hopper/wgmma.cuh \
	%D%/hopper/shape.cuh \
	%D%/hopper/by_rows.cuh \
	%D%/hopper/across.cuh \
	%D%/hopper/store_across.cuh \
	%D%/hopper/activate_across.cuh \
	%D%/hopper/over_rows.cuh \
	%D%/hopper/walk.cuh \
	%D%/hopper/store.cuh \
	%D%/hopper/token_sums.cuh \
	%D%/hopper/store_box.cuh \
	%D%/hopper/store_gradient.cuh \
	%D%/hopper/activation.cuh \
	%D%/hopper/scores.cuh \
	%D%/hopper/units.cuh \
	%D%/hopper/z_stages.cuh \
	%D%/hopper/activate.cuh \
	%D%/hopper/activate_back.cuh

noinst_LTLIBRARIES += libgpu.la libptx.la libptxnumber.la
libmoecheck_la_LIBADD += libgpu.la libptx.la libptxnumber.la $(KERNEL_TABLE)

# The PTX machine: reads PTX, and runs it.
libptx_la_SOURCES = \
	%D%/ptx/words.h \
	%D%/ptx/words.c \
	%D%/ptx/arena.h \
	%D%/ptx/arena.c \
	%D%/ptx/ptx.h \
	%D%/ptx/read.h \
	%D%/ptx/read.c \
	%D%/ptx/read_token.c \
	%D%/ptx/read_names.c \
	%D%/ptx/read_variable.c \
	%D%/ptx/read_operand.c \
	%D%/ptx/read_instruction.c \
	%D%/ptx/read_function.c \
	%D%/ptx/program.h \
	%D%/ptx/opcodes.c \
	%D%/ptx/lower.h \
	%D%/ptx/lower.c \
	%D%/ptx/lower_operand.c \
	%D%/ptx/lower_variables.c \
	%D%/ptx/lower_fuse.c \
	%D%/ptx/lower_slots.c \
	%D%/ptx/machine.h \
	%D%/ptx/machine.c \
	%D%/ptx/memory.c \
	%D%/ptx/access.c \
	%D%/ptx/schedule.h \
	%D%/ptx/cta.c \
	%D%/ptx/warp.c \
	%D%/ptx/async.c \
	%D%/ptx/rules.h \
	%D%/ptx/rules.c \
	%D%/ptx/report.c \
	%D%/ptx/print.c \
	%D%/ptx/run.h \
	%D%/ptx/run.c \
	%D%/ptx/run_argument.h \
	%D%/ptx/run_argument.c \
	%D%/ptx/hazard.h \
	%D%/ptx/hazard.c \
	%D%/ptx/hazard_own.h \
	%D%/ptx/hazard_clock.h \
	%D%/ptx/hazard_clock.c \
	%D%/ptx/hazard_object.c \
	%D%/ptx/hazard_shadow.c \
	%D%/ptx/hazard_access.c \
	%D%/ptx/hazard_word.c \
	%D%/ptx/hazard_sync.c \
	%D%/ptx/hazard_async.c \
	%D%/ptx/hazard_report.c \
	%D%/ptx/rewrite.h \
	%D%/ptx/rewrite.c \
	%D%/ptx/exec_scalar.c \
	%D%/ptx/exec_integer.c \
	%D%/ptx/exec_bits.c \
	%D%/ptx/exec_float.c \
	%D%/ptx/exec_convert.c \
	%D%/ptx/exec_move.c \
	%D%/ptx/exec_compare.c \
	%D%/ptx/exec_memory.c \
	%D%/ptx/exec_atom.c \
	%D%/ptx/exec_flow.c \
	%D%/ptx/exec_barrier.c \
	%D%/ptx/exec_warp.c \
	%D%/ptx/exec_matrix.c \
	%D%/ptx/exec_fragment.h \
	%D%/ptx/exec_fragment.c \
	%D%/ptx/exec_mma.c \
	%D%/ptx/exec_wmma.h \
	%D%/ptx/exec_wmma.c \
	%D%/ptx/exec_wmma_form.c \
	%D%/ptx/exec_hint.c \
	%D%/ptx/hopper.h \
	%D%/ptx/hopper.c \
	%D%/ptx/hopper_mbarrier.c \
	%D%/ptx/hopper_copy.c \
	%D%/ptx/hopper_reduce.c \
	%D%/ptx/hopper_bulk.c \
	%D%/ptx/hopper_tensor.c \
	%D%/ptx/hopper_map.c \
	%D%/ptx/hopper_wgmma.h \
	%D%/ptx/hopper_wgmma.c \
	%D%/ptx/hopper_form.c \
	%D%/ptx/hopper_accumulators.c \
	%D%/ptx/hopper_operands.c \
	%D%/ptx/hopper_flight.c \
	%D%/ptx/hopper_cluster.c \
	%D%/ptx/hopper_registers.c

# What instructions compute: pure functions, of C alone.
libptxnumber_la_CFLAGS = $(EXACT_CFLAGS)
libptxnumber_la_SOURCES = \
	%D%/ptx/number.h \
	%D%/ptx/number.c \
	%D%/ptx/number_bits.h \
	%D%/ptx/number_round.c \
	%D%/ptx/number_f64.h \
	%D%/ptx/number_f64.c \
	%D%/ptx/number_warp.c \
	%D%/ptx/convert.c \
	%D%/ptx/approx.h \
	%D%/ptx/approx.c \
	%D%/ptx/approx_more.c \
	%D%/ptx/approx_tables.h \
	%D%/ptx/approx_tables.c \
	%D%/ptx/number_mma.h \
	%D%/ptx/number_mma.c \
	%D%/ptx/number_mma_tile.h \
	%D%/ptx/number_mma_avx2.c \
	%D%/ptx/geometry.h \
	%D%/ptx/geometry_fragment.c \
	%D%/ptx/geometry_operand.c \
	%D%/ptx/geometry_map.c \
	%D%/ptx/geometry_box.c

libgpu_la_CPPFLAGS = $(AM_CPPFLAGS) $(CUDA_CPPFLAGS) $(ZSTD_CFLAGS)
libgpu_la_SOURCES = \
	%D%/gpu.h \
	%D%/kernels.h \
	%D%/kernels.c \
	%D%/device.h \
	%D%/device.c \
	%D%/device_watch.c \
	%D%/device_graph.c \
	%D%/ptx/device_ptx.h \
	%D%/ptx/device_own.h \
	%D%/ptx/device_memory.c \
	%D%/ptx/device_ptx.c \
	%D%/parts.h \
	%D%/parts_launch.h \
	%D%/parts.c \
	%D%/parts_route.c \
	%D%/parts_rows.c \
	%D%/parts_layer.c \
	%D%/hopper/tiles.h \
	%D%/hopper/product.h \
	%D%/hopper/product.c \
	%D%/hopper/routing.h \
	%D%/hopper/rows.h \
	%D%/hopper/layer.h \
	%D%/hopper/layer.c \
	%D%/hopper/layer_routing.c \
	%D%/hopper/layer_forward.c \
	%D%/hopper/layer_backward.c \
	%D%/hopper/layer_router.c \
	%D%/hopper/padded.h \
	%D%/hopper/padded.c \
	%D%/cublas.h \
	%D%/cublas.c \
	%D%/cublas_layer.h \
	%D%/cublas_layer.c \
	%D%/cublas_forward.c \
	%D%/cublas_backward.c \
	%D%/bench.h \
	%D%/bench_device.h \
	%D%/bench_time.c \
	%D%/bench_tensors.h \
	%D%/bench_tensors.c \
	%D%/bench_ceiling.c \
	%D%/bench_yardsticks.c \
	%D%/bench_variant.c \
	%D%/sensors.c
if HAVE_CUDA
libgpu_la_SOURCES += \
	%D%/driver.h \
	%D%/driver.c \
	%D%/probe.c \
	%D%/device_cuda.h \
	%D%/device_cuda.c \
	%D%/device_cuda_launch.c \
	%D%/device_virtual.c \
	%D%/device_cuda_graph.c \
	%D%/unpack.c
else
libgpu_la_SOURCES += \
	%D%/without_cuda.c
endif

# The table is a library of its own, so that a test can put another in its place.
EXTRA_DIST += $(GPU_KERNELS) $(GPU_KERNELS_90a) $(GPU_KERNELS_100a) $(GPU_KERNELS_103a) \
	$(GPU_KERNEL_CUH) %D%/ptxas_notes.sh
if HAVE_CUDA
KERNEL_TABLE = libkernels.la $(ZSTD_LIBS)
noinst_LTLIBRARIES += libkernels.la
nodist_libkernels_la_SOURCES = %D%/kernel_table.c
MOSTLYCLEANFILES += %D%/kernel_table.c %D%/kernel_table.bin

noinst_PROGRAMS += %D%/embed
%C%_embed_SOURCES = %D%/embed.c
%C%_embed_CPPFLAGS = $(AM_CPPFLAGS) $(ZSTD_CFLAGS)
%C%_embed_LDADD = $(ZSTD_LIBS)

GPU_CODES = $(foreach arch,$(GPU_ARCHS),$(call kernel_codes,$(GPU_KERNELS) $(GPU_KERNELS_$(arch)),$(arch)))
KERNEL_CODES += $(GPU_CODES)
%D%/kernel_table.c: $(addsuffix .ptx,$(GPU_CODES)) $(addsuffix .cubin,$(GPU_CODES)) %D%/embed$(EXEEXT) %D%/local.mk Makefile
	$(call make_kernel_table,$(GPU_CODES))
endif

# moecheck-faults.so: the variants `cublas` and `hopper` with faults to choose from, for the tests of the judge.
# It is a copy of this folder, with a table of its own.
EXTRA_DIST += %D%/fault.h %D%/faults/kernels.cu %D%/faults/hopper.cu %D%/faults/faults.c %D%/faults/plant.h \
	%D%/faults/machine.c %D%/faults/hopper.c
fault_table = %D%/faults/hopper_table.c %D%/faults/hopper_table.h
EXTRA_DIST += $(fault_table)
if HAVE_CUDA
FAULT_CODES = $(call kernel_codes,%D%/faults/kernels.cu,$(firstword $(GPU_ARCHS))) \
	$(call kernel_codes,%D%/faults/hopper.cu,$(filter 90a,$(GPU_ARCHS)))
KERNEL_CODES += $(FAULT_CODES)
%D%/faults/kernels.%.ptx %D%/faults/hopper.%.ptx: CU_FLAGS = -DMOE_FAULTS
check_LTLIBRARIES += moecheck-faults.la
moecheck_faults_la_SOURCES = %D%/faults/faults.c %D%/faults/plant.h %D%/faults/machine.c %D%/faults/hopper.c \
	$(fault_table) %D%/variant_cublas.c %D%/variant_hopper.c $(libgpu_la_SOURCES)
nodist_moecheck_faults_la_SOURCES = %D%/faults/kernel_table.c
moecheck_faults_la_CPPFLAGS = -DMOE_FAULTS $(libgpu_la_CPPFLAGS)
moecheck_faults_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden
moecheck_faults_la_LDFLAGS = -module -avoid-version -rpath /nowhere
moecheck_faults_la_LIBADD = libptx.la libptxnumber.la $(ZSTD_LIBS) -lm
MOSTLYCLEANFILES += %D%/faults/kernel_table.c %D%/faults/kernel_table.bin
%D%/faults/kernel_table.c: $(addsuffix .ptx,$(FAULT_CODES)) $(addsuffix .cubin,$(FAULT_CODES)) \
	%D%/embed$(EXEEXT) %D%/local.mk Makefile
	$(call make_kernel_table,$(FAULT_CODES))
endif
