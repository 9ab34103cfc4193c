# verify/: the judge (libverify.la) and the command (moecheck).
#
# Checks, relations, variants and sub-commands are tables made from the lists below: a new one is its file and its
# line here. checks.inc, relations.inc, variants.inc and commands.inc then hold X(name) for each file, to be used as
#     #define X(name) extern const struct moe_check_row moe_check_##name;
#     #include "verify/checks.inc"
#     #undef X
#     #define X(name) &moe_check_##name,
#     static const struct moe_check_row *const table[] = {
#     #include "verify/checks.inc"
#     };

CHECKS = \
	%D%/check_inputs.c \
	%D%/check_guards.c \
	%D%/check_routing.c \
	%D%/check_machine.c \
	%D%/check_ties.c \
	%D%/check_bound.c \
	%D%/check_exact.c \
	%D%/check_bits.c \
	%D%/check_statistics.c \
	%D%/check_footprint.c \
	%D%/check_determinism.c \
	%D%/check_passes.c \
	%D%/check_batch.c \
	%D%/check_containment.c \
	%D%/check_relations.c \
	%D%/check_again.c \
	%D%/check_stream.c \
	%D%/check_dependent.c \
	%D%/check_graph.c \
	%D%/check_contention.c \
	%D%/check_configurations.c \
	%D%/check_fill.c \
	%D%/check_fence.c \
	%D%/check_workspace.c \
	%D%/check_alignment.c \
	%D%/check_strides.c \
	%D%/check_lists.c
VARIANTS = \
	%D%/variant_ref.c \
	%D%/variant_ref_f32.c \
	%D%/variant_naive.c \
	gpu/variant_cublas.c \
	gpu/variant_hopper.c
RELATIONS = \
	%D%/relation_tokens_permuted.c \
	%D%/relation_experts_relabelled.c \
	%D%/relation_slots_reversed.c \
	%D%/relation_do_zero.c \
	%D%/relation_do_negated.c \
	%D%/relation_do_scaled.c \
	%D%/relation_do_added.c \
	%D%/relation_w2_scaled.c \
	%D%/relation_scores_scaled.c \
	%D%/relation_x_scaled.c \
	%D%/relation_score_zero.c \
	%D%/relation_batch_split.c \
	%D%/relation_tokens_doubled.c \
	%D%/relation_tokens_padded.c \
	%D%/relation_experts_spread.c \
	%D%/relation_experts_merged.c \
	%D%/relation_experts_halved.c \
	%D%/relation_experts_as_one.c
COMMANDS = \
	%D%/command_list.c \
	%D%/command_verify.c \
	%D%/command_run.c \
	%D%/command_judge.c \
	fuzz/command_replay.c \
	fuzz/command_fuzz.c \
	fuzz/command_shrink.c \
	fuzz/command_report.c \
	%D%/command_bench.c \
	%D%/command_selftest.c \
	%D%/command_ptx.c \
	%D%/command_worker.c

noinst_LTLIBRARIES += libverify.la
libmoecheck_la_LIBADD += libverify.la

libverify_la_CFLAGS = $(EXACT_CFLAGS) $(OPENBLAS_CFLAGS)
libverify_la_SOURCES = \
	%D%/variant.h \
	%D%/verify.h \
	%D%/judge.h \
	%D%/judge.c \
	%D%/locate.c \
	%D%/elsewhere.h \
	%D%/elsewhere.c \
	%D%/taint.h \
	%D%/taint.c \
	%D%/taint_router.c \
	%D%/containment.h \
	%D%/containment_plants.c \
	%D%/arena.h \
	%D%/arena.c \
	%D%/arena_guard.c \
	%D%/arena_trap.h \
	%D%/arena_trap.c \
	%D%/arena_device.h \
	%D%/arena_device.c \
	%D%/trial.h \
	%D%/trial.c \
	%D%/script.h \
	%D%/script.c \
	%D%/held.h \
	%D%/held.c \
	%D%/again.h \
	%D%/again.c \
	%D%/surroundings.h \
	%D%/on_device_copies.h \
	%D%/on_device_copies.c \
	%D%/on_device_late.c \
	%D%/on_device_dependent.c \
	%D%/on_device_contention.c \
	%D%/on_device_turn.h \
	%D%/on_device_turn.c \
	%D%/on_device.h \
	%D%/on_device.c \
	%D%/verdict.c \
	%D%/geometry.h \
	%D%/geometry.c \
	%D%/shape.c \
	%D%/compare.c \
	%D%/statistics.h \
	%D%/statistics.c \
	%D%/statistics_limits.c \
	%D%/statistics_scores.c \
	%D%/checks.c \
	%D%/routing.h \
	%D%/judge_rounding.c \
	%D%/judge_rounding_ties.c \
	%D%/variant_ref.h \
	%D%/naive.h \
	%D%/naive_space.c \
	%D%/naive_tensor.c \
	%D%/naive_act.c \
	%D%/naive_expert.c \
	%D%/naive_router.c \
	%D%/naive_round.c \
	%D%/naive_lists.c \
	%D%/registry.h \
	%D%/registry.c \
	%D%/plugin.c \
	%D%/float_modes.h \
	%D%/float_modes.c \
	%D%/aside.h \
	%D%/aside.c \
	%D%/safetensors.h \
	%D%/safetensors_read.c \
	%D%/safetensors_write.c \
	%D%/convert.h \
	%D%/convert.c \
	%D%/tensors.c \
	%D%/relate.h \
	%D%/relate.c \
	%D%/relate_make.c \
	%D%/relate_units.c \
	%D%/relate_rules.c \
	%D%/relate_known.c \
	%D%/relate_compare.c \
	$(CHECKS) \
	$(RELATIONS) \
	$(VARIANTS)

# The command stands on what the library exports and on nothing else of it. All but main() is a library,
# for the tests' sake.
noinst_LTLIBRARIES += libcommand.la
libcommand_la_CFLAGS = $(EXACT_CFLAGS) $(OPENBLAS_CFLAGS)
libcommand_la_LIBADD = $(SQLITE_LIBS)
libcommand_la_CPPFLAGS = $(AM_CPPFLAGS) -DMODULE_FOLDER='"$(pkglibdir)"'
libcommand_la_SOURCES = \
	%D%/command.h \
	%D%/worker.h \
	%D%/slot.h \
	%D%/action.h \
	%D%/options.c \
	%D%/cases.c \
	%D%/ledger.h \
	%D%/ledger.c \
	%D%/ledger_read.c \
	%D%/session.c \
	%D%/supervisor.c \
	%D%/slot.c \
	%D%/job.c \
	%D%/child.c \
	%D%/worker.c \
	%D%/action.c \
	%D%/isolation.c \
	%D%/interrupt.c \
	%D%/patience.c \
	%D%/memory_kills.c \
	%D%/usable.c \
	%D%/progress.c \
	%D%/tally.c \
	%D%/report.c \
	%D%/report_json.c \
	%D%/picture_json.c \
	%D%/takes.h \
	%D%/takes.c \
	%D%/bench.h \
	%D%/bench.c \
	%D%/bench_products.c \
	%D%/bench_reference.c \
	%D%/bench_variant.c \
	%D%/bench_gpu.c \
	%D%/bench_command.h \
	%D%/bench_suites.c \
	%D%/bench_baseline.c \
	%D%/bench_trend.h \
	%D%/bench_trend.c \
	%D%/bench_print.c \
	%D%/bench_gpu_run.c \
	%D%/bench_case.c \
	%D%/bench_start.c \
	%D%/fault.h \
	%D%/fault.c \
	%D%/fault_table.h \
	%D%/fault_memory.c \
	%D%/fault_launch.c \
	%D%/fault_maths.c \
	%D%/fault_special.c \
	%D%/fault_held.c \
	%D%/fault_elsewhere.c \
	%D%/model.h \
	%D%/model.c \
	%D%/model_sum.c \
	%D%/model_store.c \
	%D%/model_rows.c \
	%D%/model_route.c \
	%D%/model_forward.c \
	%D%/model_backward.c \
	%D%/model_launch.c \
	%D%/model_impostor.c \
	%D%/selftest.h \
	%D%/selftest_plan.c \
	%D%/selftest_clean.c \
	%D%/selftest_run.c \
	%D%/selftest_print.c \
	$(COMMANDS)

bin_PROGRAMS += moecheck
moecheck_CFLAGS = $(EXACT_CFLAGS)
moecheck_LDFLAGS = $(SANITIZER_CFLAGS)
moecheck_SOURCES = %D%/main.c
moecheck_LDADD = libcommand.la libmoecheck.la $(OPENBLAS_LIBS) $(JANSSON_LIBS) -lm

TABLES += %D%/checks.inc %D%/relations.inc %D%/variants.inc %D%/commands.inc

%D%/checks.inc: %D%/local.mk
	$(call make_table,check_,$(CHECKS))
%D%/relations.inc: %D%/local.mk
	$(call make_table,relation_,$(RELATIONS))
%D%/variants.inc: %D%/local.mk
	$(call make_table,variant_,$(VARIANTS))
%D%/commands.inc: %D%/local.mk
	$(call make_table,command_,$(COMMANDS))
