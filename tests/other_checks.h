/*
 * other_checks.h - all checks but relations and containment: those two run a variant dozens of
 * times on each case, and on other cases than it was made for.
 */
#ifndef OTHER_CHECKS_H
#define OTHER_CHECKS_H

/* Their names, for moe_judge_options. */
const char *other_checks(void);

#endif
