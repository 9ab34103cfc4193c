/*
 * gpu_checks.h - the checks that the tests of planted GPU faults make.
 */
#ifndef GPU_CHECKS_H
#define GPU_CHECKS_H

/* All but relations and containment, which run the variant dozens of times on each case; for
 * moe_judge_options. */
const char *gpu_checks(void);

#endif
