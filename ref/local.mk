# ref/: the definition. One line a file, in the order in which a reader meets them.

noinst_LTLIBRARIES += libref.la
libmoecheck_la_LIBADD += libref.la

libref_la_CFLAGS = $(EXACT_CFLAGS) $(OPENBLAS_CFLAGS)
libref_la_SOURCES = \
	%D%/moe.h \
	%D%/recipe.h \
	%D%/internal.h \
	%D%/status.c \
	%D%/tensor.c \
	%D%/dtype.c \
	%D%/act.c \
	%D%/draw.h \
	%D%/philox.c \
	%D%/draw_values.c \
	%D%/draw_lists.c \
	%D%/draw_edges.c \
	%D%/draw_exact.c \
	%D%/draw.c \
	%D%/activate.c \
	%D%/loss.c \
	%D%/bound.c \
	%D%/product.c \
	%D%/mma.c \
	%D%/routing.c \
	%D%/route.c \
	%D%/score.c \
	%D%/round.c \
	%D%/problem.h \
	%D%/problem.c \
	%D%/problem_keys.c \
	%D%/problem_names.c \
	%D%/problem_number.c \
	%D%/problem_validate.c \
	%D%/models.c \
	%D%/layer.c \
	%D%/forward.c \
	%D%/backward.c \
	%D%/router.c \
	%D%/shared_gate.c \
	%D%/reference.c \
	%D%/exact.h \
	%D%/exact_pass.h \
	%D%/exact_sum.c \
	%D%/exact_act.c \
	%D%/exact_expert.c \
	%D%/exact_router.c \
	%D%/exact.c \
	%D%/selftest.c
