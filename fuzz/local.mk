# fuzz/: the adversary.

noinst_LTLIBRARIES += libfuzz.la
libmoecheck_la_LIBADD += libfuzz.la

libfuzz_la_CFLAGS = $(EXACT_CFLAGS)
libfuzz_la_SOURCES = \
	%D%/fuzz.h \
	%D%/factors.c \
	%D%/complete.c \
	%D%/coverage.c \
	%D%/array.c \
	%D%/draw.c \
	%D%/shrink.h \
	%D%/shrink.c \
	%D%/shrink_edits.c \
	%D%/corpus.c

# The corpus becomes part of the program: a string a case, comments left out.
CORPUS = \
	%D%/corpus/shapes.cases \
	%D%/corpus/routing.cases \
	%D%/corpus/rounding.cases \
	%D%/corpus/values.cases \
	%D%/corpus/options.cases \
	%D%/corpus/chunks.cases
EXTRA_DIST += $(CORPUS)
TABLES += %D%/corpus.inc

%D%/corpus.inc: %D%/local.mk $(CORPUS)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	sed -n '/^[A-Za-z]/s/.*/    "&",/p' $(filter %.cases,$^) >$@.new && mv $@.new $@

# The loop of command_fuzz.c, which itself is in verify/local.mk's list of commands.
libcommand_la_SOURCES += \
	%D%/campaign.h \
	%D%/campaign.c \
	%D%/campaign_checks.c \
	%D%/campaign_failures.c \
	%D%/campaign_keep.c \
	%D%/campaign_print.c \
	%D%/campaign_cases.c \
	%D%/times.c \
	%D%/crew.h \
	%D%/crew.c \
	%D%/ranks.h \
	%D%/ranks_join.c \
	%D%/ranks_serve.c \
	%D%/ranks.c \
	%D%/mpi_module.h \
	%D%/failure.h \
	%D%/failure.c \
	%D%/shrink_run.c \
	%D%/shrink_print.c

# What is kept of campaigns.
if HAVE_SQLITE
libcommand_la_SOURCES += \
	%D%/store.h \
	%D%/store.c \
	%D%/store_lock.c \
	%D%/store_schema.h \
	%D%/store_schema.c \
	%D%/store_campaign.c \
	%D%/store_result.c \
	%D%/store_failure.c \
	%D%/store_timing.h \
	%D%/store_timing.c \
	%D%/campaign_store.c \
	%D%/bench_store.c
else
libcommand_la_SOURCES += %D%/campaign_store_none.c %D%/bench_store_none.c
endif

# What speaks to Open MPI, opened by a command that mpirun has started.
if HAVE_MPI
pkglib_LTLIBRARIES = moecheck-mpi.la
moecheck_mpi_la_SOURCES = %D%/mpi_module.h %D%/mpi_module.c
moecheck_mpi_la_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS)
moecheck_mpi_la_LDFLAGS = -module -avoid-version -shared
moecheck_mpi_la_LIBADD = $(MPI_LIBS)
else
EXTRA_DIST += %D%/mpi_module.c
endif

# What is shown of them.
libcommand_la_SOURCES += %D%/report.h
if HAVE_SQLITE
libcommand_la_SOURCES += \
	%D%/report_stores.c \
	%D%/report_gather.c \
	%D%/report_query.c \
	%D%/report_text.c \
	%D%/report_classes.c \
	%D%/report_headline.c \
	%D%/report_sections.c \
	%D%/report_page.c \
	%D%/report_verdicts.c \
	%D%/report_failures.c \
	%D%/report_picture.c \
	%D%/report_checks.c \
	%D%/report_coverage.c \
	%D%/report_ratios.c \
	%D%/report_timings.c \
	%D%/report_nights.c \
	%D%/report_junit.c \
	%D%/report_lines.c
else
libcommand_la_SOURCES += %D%/report_none.c
endif
EXTRA_DIST += %D%/report_style.css
TABLES += %D%/report_style.inc

# The page's style becomes part of the program: a string a line.
%D%/report_style.inc: %D%/report_style.css
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed 's/["\\]/\\&/g; s/.*/"&\\n"/' $< >$@.new && mv $@.new $@

# Harnesses of the parsers. libFuzzer runs them in parsers.sh; here they replay the seeds.
check_PROGRAMS += %D%/fuzz_case_line %D%/fuzz_safetensors %D%/fuzz_ptx
%C%_fuzz_ptx_SOURCES = %D%/fuzz_ptx.c %D%/replay.c
%C%_fuzz_ptx_LDADD = libptx.la libptxnumber.la libmoecheck.la -lm
%C%_fuzz_case_line_SOURCES = %D%/fuzz_case_line.c %D%/replay.c
%C%_fuzz_case_line_LDADD = libmoecheck.la
%C%_fuzz_safetensors_SOURCES = %D%/fuzz_safetensors.c %D%/replay.c
%C%_fuzz_safetensors_LDADD = libmoecheck.la
EXTRA_DIST += %D%/parsers.sh %D%/seeds
