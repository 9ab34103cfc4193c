# verify/: the judge (libverify.la) and the command (moecheck).
#
# Checks, variants and sub-commands are tables made from the lists below: a new one is its file and its
# line here. checks.inc, variants.inc and commands.inc then hold X(name) for each file, to be used as
#     #define X(name) extern const struct moe_check_row moe_check_##name;
#     #include "verify/checks.inc"
#     #undef X
#     #define X(name) &moe_check_##name,
#     static const struct moe_check_row *const table[] = {
#     #include "verify/checks.inc"
#     };

CHECKS =
VARIANTS = \
	%D%/variant_naive.c
COMMANDS =

noinst_LTLIBRARIES += libverify.la
libmoecheck_la_LIBADD += libverify.la

libverify_la_CFLAGS = $(EXACT_CFLAGS) $(OPENBLAS_CFLAGS)
libverify_la_SOURCES = \
	%D%/variant.h \
	%D%/verify.h \
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
	$(CHECKS) \
	$(VARIANTS)

# The command stands on the library's exported functions alone.
#bin_PROGRAMS += moecheck
#moecheck_SOURCES = \
#	%D%/main.c \
#	$(COMMANDS)
#moecheck_LDADD = libmoecheck.la $(JANSSON_LIBS)

TABLES += %D%/checks.inc %D%/variants.inc %D%/commands.inc

%D%/checks.inc: %D%/local.mk
	$(call make_table,check_,$(CHECKS))
%D%/variants.inc: %D%/local.mk
	$(call make_table,variant_,$(VARIANTS))
%D%/commands.inc: %D%/local.mk
	$(call make_table,command_,$(COMMANDS))
