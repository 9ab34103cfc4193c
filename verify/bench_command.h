/*
 * bench_command.h - inside `moecheck bench`: what it prints, measured in workers. Each function
 * prints its lines and returns an exit status: MOE_EXIT_PASS where all could be measured.
 */
#ifndef MOE_BENCH_COMMAND_H
#define MOE_BENCH_COMMAND_H

#include "verify/command.h"

/* ---- bench_case.c ---------------------------------------------------------------------------- */

/* Reference beside OpenBLAS, bounds, memory, variants. */
int bench_case(const struct moe_options *options, const struct moe_problem *problem);
int bench_line(const struct moe_options *options, const char *line);

/* ---- bench_start.c --------------------------------------------------------------------------- */

void bench_machine(const struct moe_options *options); /* the BLAS */

/* Start-up of the command: list, and verify of a tiny case. `line` is not used. */
int bench_start(const struct moe_options *options, const char *line);

/* Cases like `line` a minute through the whole of verify, by naive. */
int bench_small_cases(const struct moe_options *options, const char *line);

#endif
