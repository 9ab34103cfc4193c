# tests/: one libcheck program for each t_*.c, and scripts.
#
# A new program is its name in UNIT_TESTS (its source is that name with .c); a new script is its
# name in SCRIPT_TESTS.
# Programs speak TAP; scripts answer by exit status (77 skipped, 99 could not decide). What takes
# more than a few seconds goes to the LONG_ list, which `make smallcheck` leaves out, or looks at
# MOE_TEST_SIZE (small or full). GPU_TESTS and GPU_SHELL_TESTS are those that `make check-gpu` demands a GPU for.

TEST_SIZE = full
# Sanitizers leave signals alone: tests crash workers on purpose, and judge how they died. The shadow gap
# is where CUDA wants to map. Threads that wait do not spin: other tests want the cores.
signals = handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0
AM_TESTS_ENVIRONMENT = \
	ASAN_OPTIONS=$(signals):protect_shadow_gap=0 UBSAN_OPTIONS=$(signals):print_stacktrace=1 \
	MSAN_OPTIONS=exitcode=99 \
	CK_VERBOSITY=silent CK_TAP_LOG_FILE_NAME=- CK_DEFAULT_TIMEOUT=300 OMP_WAIT_POLICY=passive \
	MOE_TEST_SIZE=$(TEST_SIZE) \
	CC='$(CC)' CXX='$(CXX)' NM='$(NM)' srcdir='$(srcdir)' \
	JUDGE_CC='$(CC) $(DEFS) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(CPPFLAGS) $(EXACT_CFLAGS) $(OPENBLAS_CFLAGS) $(CFLAGS)' \
	JUDGE_LIBS='$(LDFLAGS) $(CHECK_LIBS) $(MPFR_LIBS) $(OPENBLAS_LIBS) $(JANSSON_LIBS) $(XXHASH_LIBS) $(SQLITE_LIBS) $(ZSTD_LIBS) -ldl -lm' \
	JUDGE_PARTS='$(libmoecheck_la_LIBADD)'; \
	export ASAN_OPTIONS UBSAN_OPTIONS MSAN_OPTIONS CK_VERBOSITY CK_TAP_LOG_FILE_NAME \
	CK_DEFAULT_TIMEOUT OMP_WAIT_POLICY MOE_TEST_SIZE CC CXX NM srcdir JUDGE_CC JUDGE_LIBS \
	JUDGE_PARTS;

LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER_FLAGS = --merge
TEST_EXTENSIONS = .sh
SH_LOG_COMPILER = $(SHELL)

UNIT_TESTS = \
	%D%/t_dtype \
	%D%/t_tensor \
	%D%/t_act \
	%D%/t_draw \
	%D%/t_draw_lists \
	%D%/t_draw_exact \
	%D%/t_routing \
	%D%/t_route \
	%D%/t_round \
	%D%/t_score \
	%D%/t_product \
	%D%/t_threads \
	%D%/t_turn \
	%D%/t_mma \
	%D%/t_ptx_number \
	%D%/t_ptx_convert \
	%D%/t_ptx_mma \
	%D%/t_ptx_mma_sync \
	%D%/t_ptx_refuse \
	%D%/t_ptx_formats \
	%D%/t_ptx_fuse \
	%D%/t_ptx_wgmma \
	%D%/t_ptx_wmma \
	%D%/t_ptx_approx \
	%D%/t_ptx_geometry \
	%D%/t_ptx_read \
	%D%/t_ptx_exec \
	%D%/t_ptx_machine \
	%D%/t_ptx_hazard \
	%D%/t_ptx_rules \
	%D%/t_ptx_hopper \
	%D%/t_ptx_triton \
	%D%/t_ptx_device \
	%D%/t_bound \
	%D%/t_bound_layers \
	%D%/t_bound_points \
	%D%/t_variance \
	%D%/t_gradient \
	%D%/t_compare \
	%D%/t_check_routing \
	%D%/t_check_exact \
	%D%/t_check_statistics \
	%D%/t_check_containment \
	%D%/t_special_values \
	%D%/t_taint \
	%D%/t_relations \
	%D%/t_judge \
	%D%/t_impostors \
	%D%/t_surroundings \
	%D%/t_on_device \
	%D%/t_check_bits \
	%D%/t_locate \
	%D%/t_arena \
	%D%/t_check_memory \
	%D%/t_footprint \
	%D%/t_geometry \
	%D%/t_problem \
	%D%/t_models \
	%D%/t_selftest \
	%D%/t_safetensors \
	%D%/t_tensors \
	%D%/t_supervisor \
	%D%/t_report \
	%D%/t_bench \
	%D%/t_cases \
	%D%/t_coverage \
	%D%/t_fuzz_draw \
	%D%/t_corpus \
	%D%/t_shrink \
	%D%/t_naive \
	%D%/t_naive_router \
	%D%/t_naive_gradient \
	%D%/t_registry
if HAVE_SQLITE
UNIT_TESTS += %D%/t_store
# Nights as they never were, for report.sh.
check_PROGRAMS += %D%/make_store
%C%_make_store_LDADD = libcommand.la $(LDADD) $(JANSSON_LIBS) $(SQLITE_LIBS)
# What scripts ask a store.
check_PROGRAMS += %D%/sql
%C%_sql_LDADD = $(SQLITE_LIBS)
endif
EXTRA_DIST += %D%/stores/night.sql
if HAVE_MPFR
UNIT_TESTS += %D%/t_dtype_mpfr %D%/t_act_mpfr
endif
LONG_TESTS = %D%/t_parts_ptx %D%/t_ptx_faults %D%/selftest_all.sh %D%/nights.sh
SCRIPT_TESTS = \
	%D%/headers.sh \
	%D%/exports.sh \
	%D%/probe.sh \
	%D%/device.sh \
	%D%/ptx_layers.sh \
	%D%/plugin.sh \
	%D%/fuzz.sh \
	%D%/shrink.sh \
	%D%/ptx.sh \
	%D%/ptx_rules.sh \
	%D%/report.sh \
	%D%/store.sh \
	%D%/campaign_kill.sh \
	%D%/mpi.sh \
	%D%/ledger.sh \
	%D%/selftest.sh \
	%D%/judge_faults.sh \
	%D%/catalogue.sh \
	%D%/command.sh \
	%D%/bench_gpu.sh \
	%D%/session.sh \
	%D%/manual.sh \
	%D%/seeds.sh \
	%D%/safetensors_python.sh \
	%D%/captured.sh \
	$(GPU_SHELL_TESTS)
GPU_TESTS = %D%/t_gpu %D%/t_device %D%/t_bits %D%/t_parts %D%/t_hopper_product %D%/t_gpu_order \
	%D%/t_gpu_faults %D%/t_ptx_recorded %D%/t_kernels_recorded %D%/t_hopper_faults
GPU_SHELL_TESTS = %D%/gpu_worker.sh

# Programs that write their own TAP, for their SKIPs, and so need no libcheck.
SKIP_TESTS = $(GPU_TESTS) %D%/t_dtype_cuda %D%/t_hopper_faults_ptx %D%/t_hopper_schedules
check_PROGRAMS += $(SKIP_TESTS) %D%/t_parts_ptx %D%/t_ptx_faults
TESTS = $(SCRIPT_TESTS) $(SKIP_TESTS) $(LONG_TESTS)
if HAVE_CHECK
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
else
TESTS += %D%/no_libcheck.sh
endif
EXTRA_DIST += $(SCRIPT_TESTS) %D%/head.sh %D%/judge_faults.txt %D%/machine_faults.txt %D%/selftest_all.sh %D%/nights.sh %D%/no_libcheck.sh %D%/tally.sh %D%/installed.sh

# moecheck-tests/: the built tests for machines that lack the build tools. Left out are scripts that
# compile something, or look at what the compiler made.
BUILD_TESTS = %D%/headers.sh %D%/exports.sh %D%/plugin.sh %D%/fuzz.sh %D%/session.sh \
	%D%/judge_faults.sh %D%/catalogue.sh %D%/ptx_rules.sh
PTX_TRITON = add_rows softmax_rows count_experts scan_offsets product_bf16 product_8warps product_mma \
	product_e4m3 gathered_product described_product
EXTRA_DIST += %D%/ptx/wmma/product_f16.cu %D%/ptx/wmma/product_f16.ptx %D%/ptx/wmma/product_tf32.cu %D%/ptx/wmma/product_tf32.ptx
EXTRA_DIST += %D%/ptx/triton/kernels.py %D%/ptx/README.md %D%/ptx/rules.txt $(PTX_TRITON:%=$(srcdir)/%D%/ptx/triton/%.ptx)
EXTRA_DIST += %D%/assemble.sh %D%/run.sh %D%/gpu_session.sh
.PHONY: moecheck-tests
moecheck-tests: $(check_PROGRAMS) $(check_LTLIBRARIES) %D%/moecheck$(EXEEXT) libmoecheck.la config.h
	$(AM_V_GEN)srcdir='$(srcdir)' STRIP='$(STRIP)' GPU_TESTS='$(GPU_TESTS)' GPU_SHELL_TESTS='$(GPU_SHELL_TESTS)' \
	PROGRAMS='$(filter-out $(GPU_TESTS),$(filter %D%/t_%,$(check_PROGRAMS)))' \
	SCRIPTS='$(filter-out $(BUILD_TESTS) $(GPU_SHELL_TESTS),$(SCRIPT_TESTS))' \
	HELPERS='$(filter-out %D%/t_%,$(check_PROGRAMS))' \
	MODULES='$(join $(dir $(check_LTLIBRARIES)),$(patsubst %.la,.libs/%.so,$(notdir $(check_LTLIBRARIES))))' \
	DATA='fuzz/corpus fuzz/seeds doc/moecheck.1 doc/examples tests/head.sh tests/ptx tests/stores' \
	$(SHELL) $(srcdir)/%D%/assemble.sh moecheck-tests

# The command, to be run from that folder: not libtool's script, and with the libraries beside it.
EXTRA_PROGRAMS += %D%/moecheck
%C%_moecheck_SOURCES = verify/main.c
%C%_moecheck_CFLAGS = $(EXACT_CFLAGS)
%C%_moecheck_LDADD = libcommand.la libmoecheck.la $(OPENBLAS_LIBS) $(JANSSON_LIBS) -lm

# What is the command's and not the library's.
%C%_t_supervisor_SOURCES = %D%/t_supervisor.c %D%/stub_worker.c %D%/stub_worker.h
%C%_t_supervisor_LDADD = libcommand.la $(LDADD) $(JANSSON_LIBS)
%C%_t_bench_LDADD = libcommand.la $(LDADD) $(JANSSON_LIBS)
%C%_t_report_LDADD = libcommand.la $(LDADD) $(JANSSON_LIBS)
%C%_t_store_LDADD = libcommand.la $(LDADD) $(JANSSON_LIBS) $(SQLITE_LIBS)
%C%_t_cases_LDADD = libcommand.la $(LDADD) $(JANSSON_LIBS)

%C%_t_shrink_SOURCES = %D%/other_checks.c %D%/other_checks.h %D%/t_shrink.c $(support)
%C%_t_shrink_LDADD = libcommand.la $(LDADD) $(JANSSON_LIBS)

# The tests of naive share their cases.
%C%_t_naive_SOURCES = %D%/t_naive.c %D%/naive_case.c %D%/naive_case.h
%C%_t_naive_router_SOURCES = %D%/t_naive_router.c %D%/naive_case.c %D%/naive_case.h
%C%_t_naive_gradient_SOURCES = %D%/t_naive_gradient.c %D%/naive_case.c %D%/naive_case.h

# The tests of the reference and of the judge share theirs; two look inside libref.
support = %D%/support.c %D%/support.h
%C%_t_selftest_SOURCES = %D%/t_selftest.c $(support)
%C%_t_selftest_LDADD = libcommand.la $(LDADD) $(JANSSON_LIBS)
%C%_t_draw_SOURCES = %D%/t_draw.c $(support)
%C%_t_fuzz_draw_SOURCES = %D%/t_fuzz_draw.c $(support)
%C%_t_routing_SOURCES = %D%/t_routing.c $(support)
%C%_t_route_SOURCES = %D%/t_route.c $(support)
%C%_t_round_SOURCES = %D%/t_round.c $(support)
%C%_t_score_SOURCES = %D%/t_score.c $(support)
%C%_t_score_LDADD = libref.la $(LDADD) $(OPENBLAS_LIBS)
%C%_t_compare_SOURCES = %D%/t_compare.c $(support)
%C%_t_check_routing_SOURCES = %D%/t_check_routing.c $(support)
%C%_t_check_statistics_SOURCES = %D%/t_check_statistics.c $(impostor)
%C%_t_special_values_SOURCES = %D%/t_special_values.c $(impostor)
%C%_t_special_values_LDADD = libcommand.la $(LDADD) $(JANSSON_LIBS)
%C%_t_taint_SOURCES = %D%/t_taint.c $(support)
%C%_t_taint_LDADD = $(LDADD) libverify.la $(JANSSON_LIBS)
%C%_t_check_containment_SOURCES = %D%/t_check_containment.c $(impostor)
%C%_t_check_containment_LDADD = libcommand.la $(LDADD) $(JANSSON_LIBS)
%C%_t_judge_SOURCES = %D%/t_judge.c $(support)
impostor = %D%/impostor.c %D%/impostor.h $(support)
%C%_t_impostors_SOURCES = %D%/t_impostors.c $(impostor)
%C%_t_relations_SOURCES = %D%/t_relations.c $(impostor)
%C%_t_relations_LDADD = libcommand.la $(LDADD) $(JANSSON_LIBS)
%C%_t_check_exact_SOURCES = %D%/t_check_exact.c $(impostor)
%C%_t_draw_exact_SOURCES = %D%/t_draw_exact.c $(support)
%C%_t_check_bits_SOURCES = %D%/t_check_bits.c %D%/slow_mma.c %D%/slow_mma.h $(impostor)
%C%_t_check_memory_SOURCES = %D%/t_check_memory.c $(impostor)
%C%_t_footprint_SOURCES = %D%/t_footprint.c $(impostor)
%C%_t_arena_SOURCES = %D%/t_arena.c $(support)
%C%_t_surroundings_SOURCES = %D%/t_surroundings.c $(impostor)
# A device of its own in the place of CUDA's and of the PTX machine.
%C%_t_on_device_SOURCES = %D%/t_on_device.c %D%/queue_device.c %D%/queue_memory.c %D%/queue_streams.c \
	%D%/queue_device.h %D%/queue_own.h $(impostor)
%C%_t_on_device_LDADD = libverify.la libgpu.la libref.la $(CHECK_LIBS) $(OPENBLAS_LIBS) $(JANSSON_LIBS) $(XXHASH_LIBS) -lm
%C%_t_locate_SOURCES = %D%/t_locate.c $(impostor)
%C%_t_geometry_SOURCES = %D%/t_geometry.c $(impostor)
%C%_t_turn_SOURCES = %D%/t_turn.c $(support)
%C%_t_turn_LDADD = $(%C%_t_on_device_LDADD)
%C%_t_threads_SOURCES = %D%/t_threads.c $(support)
%C%_t_product_SOURCES = %D%/t_product.c $(support)
%C%_t_product_CPPFLAGS = $(AM_CPPFLAGS) $(OPENBLAS_CFLAGS)
%C%_t_product_LDADD = libref.la $(LDADD) $(OPENBLAS_LIBS)
slow_mma = %D%/slow_mma.c %D%/slow_mma.h
%C%_t_mma_SOURCES = %D%/t_mma.c $(slow_mma) $(support)
%C%_t_ptx_number_SOURCES = %D%/t_ptx_number.c $(support)
%C%_t_ptx_number_CFLAGS = $(EXACT_CFLAGS) -frounding-math
%C%_t_ptx_number_LDADD = libptxnumber.la $(LDADD)
%C%_t_ptx_convert_SOURCES = %D%/t_ptx_convert.c $(support)
%C%_t_ptx_convert_LDADD = libptxnumber.la $(LDADD)
%C%_t_ptx_mma_SOURCES = %D%/t_ptx_mma.c $(support)
%C%_t_ptx_mma_LDADD = libptxnumber.la $(LDADD)
%C%_t_ptx_approx_SOURCES = %D%/t_ptx_approx.c $(support)
%C%_t_ptx_approx_LDADD = libptxnumber.la $(LDADD) $(XXHASH_LIBS)
%C%_t_ptx_geometry_SOURCES = %D%/t_ptx_geometry.c $(support)
%C%_t_ptx_geometry_LDADD = libptxnumber.la $(LDADD)
ptx_run = %D%/ptx_run.c %D%/ptx_run.h $(support)
ptx_element = %D%/ptx_element.c %D%/ptx_element.h
%C%_t_ptx_read_SOURCES = %D%/t_ptx_read.c $(support)
%C%_t_ptx_read_LDADD = libptx.la libptxnumber.la $(LDADD)
%C%_t_ptx_exec_SOURCES = %D%/t_ptx_exec.c $(ptx_run)
%C%_t_ptx_exec_LDADD = libptx.la libptxnumber.la $(LDADD)
%C%_t_ptx_machine_SOURCES = %D%/t_ptx_machine.c $(ptx_run)
%C%_t_ptx_machine_LDADD = libptx.la libptxnumber.la $(LDADD)
%C%_t_ptx_mma_sync_SOURCES = %D%/t_ptx_mma_sync.c $(ptx_element) $(ptx_run)
%C%_t_ptx_mma_sync_LDADD = libptx.la libptxnumber.la $(LDADD)
%C%_t_ptx_formats_SOURCES = %D%/t_ptx_formats.c $(ptx_run)
%C%_t_ptx_formats_LDADD = libptx.la libptxnumber.la $(LDADD)
%C%_t_ptx_fuse_SOURCES = %D%/t_ptx_fuse.c $(ptx_run)
%C%_t_ptx_fuse_LDADD = libptx.la libptxnumber.la $(LDADD)
%C%_t_ptx_refuse_SOURCES = %D%/t_ptx_refuse.c $(support)
%C%_t_ptx_refuse_LDADD = libptx.la libptxnumber.la $(LDADD)
ptx_micro = %D%/ptx_micro.c %D%/ptx_micro.h $(support)
%C%_t_ptx_hopper_SOURCES = %D%/t_ptx_hopper.c $(support)
%C%_t_ptx_hopper_LDADD = libptx.la libptxnumber.la $(LDADD)
ptx_rig = %D%/ptx_rig.c %D%/ptx_rig.h $(support)
%C%_t_ptx_triton_SOURCES = %D%/t_ptx_triton.c $(ptx_rig)
%C%_t_ptx_wgmma_SOURCES = %D%/t_ptx_wgmma.c $(ptx_element) $(ptx_rig)
%C%_t_ptx_wgmma_LDADD = libptx.la libptxnumber.la $(LDADD)
%C%_t_ptx_wmma_SOURCES = %D%/t_ptx_wmma.c $(ptx_element) $(ptx_rig)
%C%_t_ptx_wmma_LDADD = libptx.la libptxnumber.la $(LDADD)
%C%_t_ptx_triton_LDADD = libptx.la libptxnumber.la $(LDADD)
%C%_t_ptx_device_SOURCES = %D%/t_ptx_device.c $(support)
%C%_t_ptx_hazard_SOURCES = %D%/t_ptx_hazard.c $(ptx_micro)
%C%_t_ptx_rules_SOURCES = %D%/t_ptx_rules.c $(ptx_micro)
%C%_t_ptx_rules_LDADD = libptx.la libptxnumber.la $(LDADD)
%C%_t_ptx_hazard_LDADD = libptx.la libptxnumber.la $(LDADD)
%C%_t_bound_layers_SOURCES = %D%/t_bound_layers.c $(support)
%C%_t_bound_points_SOURCES = %D%/t_bound_points.c %D%/rounder.c %D%/rounder.h $(support)
%C%_t_variance_SOURCES = %D%/t_variance.c %D%/rounder.c %D%/rounder.h $(support)
%C%_t_bound_SOURCES = %D%/t_bound.c $(support)
%C%_t_bound_LDADD = libref.la $(LDADD) $(OPENBLAS_LIBS)
%C%_t_gradient_SOURCES = %D%/t_gradient.c $(support)

# t_device looks inside libgpu, and puts a table of kernels of its own in the place of the build's.
EXTRA_DIST += %D%/device_kernel.cu
%C%_t_device_SOURCES = %D%/t_device.c %D%/device_walk.c %D%/device_walk.h
%C%_t_device_LDADD = libgpu.la libptx.la libptxnumber.la $(LDADD)
if HAVE_CUDA
DEVICE_TEST_CODES = $(call kernel_codes,%D%/device_kernel.cu,$(GPU_ARCHS))
KERNEL_CODES += $(DEVICE_TEST_CODES)
nodist_%C%_t_device_SOURCES = %D%/device_table.c
MOSTLYCLEANFILES += %D%/device_table.c %D%/device_table.bin
%C%_t_device_LDADD += $(ZSTD_LIBS)
%D%/device_table.c: $(addsuffix .ptx,$(DEVICE_TEST_CODES)) $(addsuffix .cubin,$(DEVICE_TEST_CODES)) \
	gpu/embed$(EXEEXT) Makefile
	$(call make_kernel_table,$(DEVICE_TEST_CODES))
endif

# So does t_bits, with the instructions of tensor cores.
EXTRA_DIST += %D%/bits_kernels.cu
%C%_t_bits_SOURCES = %D%/t_bits.c
%C%_t_bits_LDADD = libgpu.la libptx.la libptxnumber.la $(LDADD)
if HAVE_CUDA
BITS_CODES = $(call kernel_codes,%D%/bits_kernels.cu,$(firstword $(GPU_ARCHS)))
KERNEL_CODES += $(BITS_CODES)
nodist_%C%_t_bits_SOURCES = %D%/bits_table.c
MOSTLYCLEANFILES += %D%/bits_table.c %D%/bits_table.bin
%C%_t_bits_LDADD += $(ZSTD_LIBS)
%D%/bits_table.c: $(addsuffix .ptx,$(BITS_CODES)) $(addsuffix .cubin,$(BITS_CODES)) \
	gpu/embed$(EXEEXT) Makefile
	$(call make_kernel_table,$(BITS_CODES))
endif

# These plant faults on a GPU, and t_hopper_faults_ptx on the PTX machine.
fault_trial = %D%/fault_trial.c %D%/fault_trial.h %D%/other_checks.c %D%/other_checks.h
%C%_t_gpu_faults_SOURCES = %D%/t_gpu_faults.c $(fault_trial)
%C%_t_hopper_faults_SOURCES = %D%/t_hopper_faults.c $(fault_trial) $(fault_table)
%C%_t_hopper_faults_ptx_SOURCES = $(%C%_t_hopper_faults_SOURCES)
%C%_t_hopper_faults_ptx_CPPFLAGS = $(AM_CPPFLAGS) -DON_PTX
%C%_t_gpu_order_SOURCES = %D%/t_gpu_order.c %D%/other_checks.c %D%/other_checks.h

# t_parts calls what libmoecheck exports, as a user does.
launches = %D%/launches.c %D%/launches.h
%C%_t_parts_SOURCES = %D%/t_parts.c $(launches) %D%/parts_tests.h %D%/parts_array.c %D%/parts_array.h \
	%D%/parts_route.c %D%/parts_rows.c %D%/parts_activate.c %D%/parts_layer.c
%C%_t_parts_ptx_SOURCES = $(%C%_t_parts_SOURCES)
%C%_t_hopper_schedules_SOURCES = %D%/t_hopper_schedules.c $(launches)
%C%_t_parts_ptx_CPPFLAGS = $(AM_CPPFLAGS) -DON_PTX

# Whole kernels, as t_parts runs them.
%C%_t_kernels_recorded_SOURCES = %D%/t_kernels_recorded.c $(recorded) %D%/parts_tests.h %D%/parts_array.c \
	%D%/parts_array.h %D%/parts_route.c %D%/parts_rows.c %D%/parts_activate.c %D%/parts_layer.c
%C%_t_kernels_recorded_LDADD = $(LDADD) $(XXHASH_LIBS)

# What stands under the variants is not exported.
%C%_t_hopper_product_SOURCES = %D%/t_hopper_product.c %D%/parts_array.c %D%/parts_array.h
%C%_t_hopper_product_LDADD = libgpu.la libptx.la libptxnumber.la $(KERNEL_TABLE) $(LDADD)

%C%_t_ptx_faults_SOURCES = %D%/t_ptx_faults.c %D%/parts_array.c %D%/parts_array.h
%C%_t_ptx_faults_LDADD = libgpu.la libptx.la libptxnumber.la $(KERNEL_TABLE) $(LDADD)

# What a GPU gave for rows of instructions.
PTX_FAMILIES = integer bits float half compare convert approximate warp memory atomic matrix mma wmma wgmma copy tensor cluster
EXTRA_DIST += %D%/ptx/recorded.txt $(PTX_FAMILIES:%=$(srcdir)/%D%/ptx/families/%.txt)
recorded = %D%/recorded.c %D%/recorded.h
%C%_t_ptx_recorded_SOURCES = %D%/t_ptx_recorded.c $(recorded) %D%/ptx_expand.c %D%/ptx_expand.h %D%/ptx_rows.c %D%/ptx_rows.h \
	%D%/ptx_draw.c %D%/ptx_draw.h %D%/ptx_rows_run.c %D%/ptx_rows_run.h %D%/ptx_rig.c %D%/ptx_rig.h
%C%_t_ptx_recorded_CPPFLAGS = $(AM_CPPFLAGS) $(CUDA_CPPFLAGS)
%C%_t_ptx_recorded_LDADD = libptx.la libptxnumber.la $(LDADD) $(XXHASH_LIBS)
if HAVE_CUDA
%C%_t_ptx_recorded_SOURCES += gpu/driver.c gpu/driver.h
endif

# How fast the PTX machine is: no test.
EXTRA_PROGRAMS += %D%/ptx_speed
%C%_ptx_speed_SOURCES = %D%/ptx_speed.c %D%/ptx_rig.c %D%/ptx_rig.h %D%/parts_array.c %D%/parts_array.h
%C%_ptx_speed_LDADD = libgpu.la libptx.la libptxnumber.la $(KERNEL_TABLE) $(LDADD)

# A libcuda that fails on demand, for probe.sh and device.sh. -rpath makes libtool build a shared object of what is
# not installed.
check_LTLIBRARIES += fake_cuda.la
fake_cuda_la_SOURCES = %D%/fake_cuda.c
fake_cuda_la_LDFLAGS = -module -avoid-version -rpath /nowhere

# A plug-in of variants with bad habits, for command.sh.
check_LTLIBRARIES += %D%/misbehave.la
%C%_misbehave_la_SOURCES = %D%/misbehave.c
%C%_misbehave_la_LDFLAGS = -module -avoid-version -rpath /nowhere

# A plug-in for t_gpu_order: its own copy of gpu/, with kernels of its own.
EXTRA_DIST += %D%/order_kernels.cu %D%/order_faults.c
if HAVE_CUDA
ORDER_CODES = $(call kernel_codes,%D%/order_kernels.cu %D%/bits_kernels.cu,$(firstword $(GPU_ARCHS)))
KERNEL_CODES += $(filter-out $(BITS_CODES),$(ORDER_CODES))
check_LTLIBRARIES += %D%/order_faults.la
%C%_order_faults_la_SOURCES = %D%/order_faults.c $(libgpu_la_SOURCES)
nodist_%C%_order_faults_la_SOURCES = %D%/order_table.c
%C%_order_faults_la_CPPFLAGS = $(libgpu_la_CPPFLAGS)
%C%_order_faults_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden
%C%_order_faults_la_LDFLAGS = -module -avoid-version -rpath /nowhere
%C%_order_faults_la_LIBADD = libptx.la libptxnumber.la $(ZSTD_LIBS) -lm
MOSTLYCLEANFILES += %D%/order_table.c %D%/order_table.bin
%D%/order_table.c: $(addsuffix .ptx,$(ORDER_CODES)) $(addsuffix .cubin,$(ORDER_CODES)) \
	gpu/embed$(EXEEXT) Makefile
	$(call make_kernel_table,$(ORDER_CODES))
endif

# CUDA's number formats. -x c++: host functions only, so nothing for the CUDA runtime to register.
EXTRA_DIST += %D%/dtype_cuda.cu
%C%_t_dtype_cuda_SOURCES = %D%/t_dtype_cuda.c %D%/dtype_cuda.h
%C%_t_dtype_cuda_LDADD = $(LDADD)
if HAVE_CUDA
CU_OBJECTS += %D%/dtype_cuda.o
%D%/dtype_cuda.o: CU_FLAGS = -x c++ -O2
%C%_t_dtype_cuda_LDADD += %D%/dtype_cuda.o
%C%_t_dtype_cuda_DEPENDENCIES = libmoecheck.la %D%/dtype_cuda.o
endif

# Plug-ins for t_registry; plugin.sh builds its own, as a user would.
EXTRA_DIST += %D%/plugins/bad.c
check_LTLIBRARIES += plugin_right.la plugin_flush.la
plugin_right_la_SOURCES = %D%/plugins/bad.c
plugin_right_la_LDFLAGS = -module -avoid-version -rpath /nowhere
plugin_flush_la_SOURCES = %D%/plugins/bad.c
plugin_flush_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAULT_FLUSH
plugin_flush_la_LDFLAGS = -module -avoid-version -rpath /nowhere
