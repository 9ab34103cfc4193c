# tests/: one libcheck program for each t_*.c, and scripts.
#
# A new program is its name in UNIT_TESTS (its source is that name with .c); a new script is its
# name in SCRIPT_TESTS.
# Programs speak TAP; scripts answer by exit status (77 skipped, 99 could not decide). What takes
# more than a few seconds goes to the LONG_ list, which `make smallcheck` leaves out, or looks at
# MOE_TEST_SIZE (small or full). GPU_TESTS are those that `make check-gpu` demands a GPU for.

TEST_SIZE = full
AM_TESTS_ENVIRONMENT = \
	CK_VERBOSITY=silent CK_TAP_LOG_FILE_NAME=- CK_DEFAULT_TIMEOUT=300 \
	MOE_TEST_SIZE=$(TEST_SIZE) MSAN_OPTIONS=exitcode=99 \
	CC='$(CC)' CXX='$(CXX)' NM='$(NM)' srcdir='$(srcdir)'; \
	export CK_VERBOSITY CK_TAP_LOG_FILE_NAME CK_DEFAULT_TIMEOUT MOE_TEST_SIZE MSAN_OPTIONS \
	CC CXX NM srcdir;

LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER_FLAGS = --merge
TEST_EXTENSIONS = .sh
SH_LOG_COMPILER = $(SHELL)

UNIT_TESTS =
LONG_TESTS =
SCRIPT_TESTS = \
	%D%/headers.sh \
	%D%/exports.sh
GPU_TESTS = %D%/t_gpu

check_PROGRAMS += %D%/t_gpu
if HAVE_CHECK
check_PROGRAMS += $(UNIT_TESTS)
endif
TESTS = $(SCRIPT_TESTS) %D%/t_gpu $(UNIT_TESTS) $(LONG_TESTS)
EXTRA_DIST += $(SCRIPT_TESTS)
