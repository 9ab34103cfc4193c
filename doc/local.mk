# doc/: what is read, and the plug-in template, which is installed.

dist_man_MANS = %D%/moecheck.1
dist_doc_DATA = README.md NEWS LICENSE %D%/manual.md %D%/manual-variants.md %D%/manual-campaigns.md %D%/bounds.md \
	%D%/bounds-activations.md %D%/bits.md %D%/statistics.md %D%/containment.md %D%/relations.md %D%/selftest.md %D%/catalogue.md %D%/ptx.md %D%/nights.md %D%/report.png

# Nights of cron, Slurm and GitHub Actions.
cidir = $(docdir)/ci
dist_ci_DATA = %D%/ci/night.sh %D%/ci/night.sbatch %D%/ci/nightly.yml

plugindir = $(docdir)/examples/plugin
dist_plugin_DATA = %D%/examples/plugin/Makefile %D%/examples/plugin/plugin.c \
	%D%/examples/plugin/README.md

# A layer captured by another program, for `moecheck judge`.
capturedir = $(docdir)/examples/captured
dist_capture_DATA = %D%/examples/captured/capture.py

# Measured results: what was run where, with its command.
EXTRA_DIST += %D%/results/clean-2026-11-28.md %D%/results/cpu-2026-11-24.md %D%/results/cpu-2026-11-28.md \
	%D%/results/h100-2026-11-24.md %D%/results/h200-2026-11-28.md %D%/results/h200-2026-11-29.md %D%/results/ptx-2026-11-28.md \
	%D%/results/ptx-layers-2026-11-29.md %D%/results/hopper.md
