/*
 * parts_tests.h - the tests of t_parts by file. Each says whether all held; what did not is on
 * stderr.
 */
#ifndef PARTS_TESTS_H
#define PARTS_TESTS_H

/* ---- parts_route.c --------------------------------------------------------------------------- */
int tokens_pick(void);
int scores_are_right(void);
int scores_of_nan(void);
int gradients_reach_logits(void);
int tokens_are_rounded(void);

/* ---- parts_rows.c ---------------------------------------------------------------------------- */
int lists_become_rows(void);
int wrong_ids_are_dropped(void);
int scores_go_to_rows_and_back(void);

/* ---- parts_activate.c ------------------------------------------------------------------------ */
int rows_are_activated(void);
int activations_go_back(void);

/* ---- parts_layer.c --------------------------------------------------------------------------- */
int rows_are_gathered(void);
int biases_are_added(void);
int tokens_are_summed(void);
int columns_are_summed(void);
int rows_are_multiplied(void);
int gates_open(void);
int types_convert(void);

#endif
