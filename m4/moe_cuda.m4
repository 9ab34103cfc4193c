# MOE_CUDA: --with-cuda=check|yes|DIR|no and --with-gpu-archs=LIST.
#
# Needed of CUDA are nvcc, ptxas and the headers, and zstd for the code that is embedded. libcuda and
# cuBLAS are opened by dlopen at first use and never linked, so nothing here looks for a library of
# theirs, and nothing is run: a machine without a driver builds the same program. Why there is no GPU
# half stays in a variable, for the summary and (as MOE_CUDA_WHY in config.h) for the program's own
# answer.
#
# Sets NVCC, PTXAS, GPU_ARCHS ("90a 100a"), GENCODE, MOE_NVCCFLAGS, CUDA_CPPFLAGS, ZSTD_CFLAGS,
# ZSTD_LIBS, the conditional HAVE_CUDA, and in config.h HAVE_CUDA, MOE_CUDA_VERSION (13000 is 13.0; 0:
# none), MOE_GPU_ARCHS ("90a,100a") and MOE_CUDA_WHY. A .cu file with host code includes config.h, so
# that another list of architectures compiles it anew.
AC_DEFUN([MOE_CUDA], [
AC_ARG_VAR([NVCC], [CUDA compiler])
AC_ARG_VAR([NVCCFLAGS], [flags for NVCC, last on its line])
AC_ARG_VAR([PTXASFLAGS], [flags for ptxas, last on its line])
AC_ARG_WITH([cuda],
  [AS_HELP_STRING([--with-cuda=check|yes|DIR|no], [the GPU half; DIR is a toolkit @<:@check@:>@])],
  [], [with_cuda=check])
AC_ARG_WITH([gpu-archs],
  [AS_HELP_STRING([--with-gpu-archs=LIST],
    [architectures @<:@those of 90a,100a,103a that nvcc knows@:>@])],
  [], [with_gpu_archs=default])
moe_cuda=no moe_cuda_why= moe_cuda_version=0 moe_cuda_archs= moe_cuda_left_out=
AS_CASE([$with_cuda],
  [no], [moe_cuda_why="configured with --without-cuda"],
  [yes|check|''],
    [AC_PATH_PROG([NVCC], [nvcc], [], [$PATH$PATH_SEPARATOR/usr/local/cuda/bin])
     AS_IF([test -z "$NVCC"], [moe_cuda_why="no nvcc in PATH or /usr/local/cuda/bin"])],
  [AC_PATH_PROG([NVCC], [nvcc], [], [$with_cuda/bin])
   AS_IF([test -z "$NVCC"], [moe_cuda_why="no nvcc in $with_cuda/bin"])])

AS_IF([test -z "$moe_cuda_why"], [
  # nvcc itself knows where its toolkit is.
  AC_MSG_CHECKING([for the toolkit of $NVCC])
  moe_cuda_dir=`"$NVCC" --dryrun -c -x cu /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p'`
  moe_cuda_dir=`cd "$moe_cuda_dir" 2>/dev/null && pwd -P`
  moe_cuda_release=`"$NVCC" --version | sed -n 's/.*release \(@<:@0-9@:>@*\.@<:@0-9@:>@*\),.*/\1/p'`
  AS_IF([test -z "$moe_cuda_dir" || test -z "$moe_cuda_release"],
    [AC_MSG_RESULT([none])
     moe_cuda_why="$NVCC does not say its version and folder"],
    [AC_MSG_RESULT([CUDA $moe_cuda_release, $moe_cuda_dir])])
])
AS_IF([test -z "$moe_cuda_why"], [
  moe_cuda_version=`AS_ECHO(["$moe_cuda_release"]) | $AWK -F. '{ print 1000 * $[]1 + 10 * $[]2 }'`
  CUDA_CPPFLAGS="-I$moe_cuda_dir/include"
  moe_save_CPPFLAGS=$CPPFLAGS
  CPPFLAGS="$CPPFLAGS $CUDA_CPPFLAGS"
  AC_CHECK_HEADERS([cuda.h cublas_v2.h], [],
    [moe_cuda_why="no $ac_header in $moe_cuda_dir/include"; break], [AC_INCLUDES_DEFAULT])
  CPPFLAGS=$moe_save_CPPFLAGS
])
AS_IF([test -z "$moe_cuda_why"], [
  PTXAS=$moe_cuda_dir/bin/ptxas
  AS_IF([test ! -x "$PTXAS"], [moe_cuda_why="no ptxas in $moe_cuda_dir/bin"],
        [test "x$cross_compiling" = xyes],
        [moe_cuda_why="cross compiling: the program that embeds the kernels has to run here"])
])
AS_IF([test -z "$moe_cuda_why"],
  [PKG_CHECK_MODULES([ZSTD], [libzstd >= 1.4], [],
    [moe_cuda_why="no libzstd, for the embedded code (Debian: libzstd-dev)"])])
AS_IF([test -z "$moe_cuda_why"], [
  MOE_NVCCFLAGS="-std=c++17 -lineinfo -forward-unknown-to-host-compiler"
  # Probed by compiling: nvcc's own list leaves the accelerated names (90a) out.
  AS_IF([test "x$with_gpu_archs" = xdefault], [moe_list="90a 100a 103a"],
        [moe_list=`AS_ECHO(["$with_gpu_archs"]) | tr , ' '`])
  AS_ECHO(["#include <cuda_runtime.h>
__global__ void kernel(int *p) { *p = 1; }"]) >conftest.cu
  for moe_arch in $moe_list; do
    AC_MSG_CHECKING([whether nvcc compiles for sm_$moe_arch])
    moe_gencode="-gencode arch=compute_$moe_arch,code=sm_$moe_arch"
    AS_IF(["$NVCC" $MOE_NVCCFLAGS $moe_gencode $NVCCFLAGS -fPIC -c -o conftest.o conftest.cu \
           >&AS_MESSAGE_LOG_FD 2>&1],
      [AC_MSG_RESULT([yes])
       GENCODE="$GENCODE $moe_gencode"
       moe_cuda_archs="$moe_cuda_archs${moe_cuda_archs:+,}$moe_arch"],
      [AC_MSG_RESULT([no])
       moe_cuda_left_out="$moe_cuda_left_out${moe_cuda_left_out:+,}$moe_arch"])
    rm -f conftest.o
  done
  rm -f conftest.cu
  AS_IF([test -z "$moe_cuda_archs"],
    [moe_cuda_why="$NVCC compiles for none of $moe_cuda_left_out (see config.log)"],
    [test "x$with_gpu_archs" != xdefault && test -n "$moe_cuda_left_out"],
    [moe_cuda_why="$NVCC does not compile for $moe_cuda_left_out (see config.log)"],
    [moe_cuda=yes])
])
# Whoever names a toolkit or architectures does not want to be left without.
AS_CASE([$moe_cuda:$with_cuda:$with_gpu_archs],
  [yes:*|no:no:*|no:check:default], [],
  [AC_MSG_ERROR([--with-cuda=$with_cuda --with-gpu-archs=$with_gpu_archs: $moe_cuda_why])])

AS_IF([test "x$moe_cuda" = xyes],
  [moe_cuda_summary="CUDA $moe_cuda_release in $moe_cuda_dir, for $moe_cuda_archs"
   AS_IF([test -n "$moe_cuda_left_out"],
     [moe_cuda_summary="$moe_cuda_summary (this nvcc does not know $moe_cuda_left_out)"])],
  [moe_cuda_summary="no: $moe_cuda_why"
   moe_cuda_version=0 moe_cuda_archs= CUDA_CPPFLAGS= GENCODE= MOE_NVCCFLAGS= ZSTD_CFLAGS= ZSTD_LIBS=])
GPU_ARCHS=`AS_ECHO(["$moe_cuda_archs"]) | tr , ' '`
AS_IF([test "x$moe_cuda" = xyes], [AC_DEFINE([HAVE_CUDA], [1], [the GPU half is built])])
AC_DEFINE_UNQUOTED([MOE_CUDA_VERSION], [$moe_cuda_version],
  [the toolkit that the GPU half is built with, 1000 * major + 10 * minor; 0: there is none])
AC_DEFINE_UNQUOTED([MOE_GPU_ARCHS], ["$moe_cuda_archs"], [architectures that the build has code for])
AC_DEFINE_UNQUOTED([MOE_CUDA_WHY], ["$moe_cuda_why"], [why there is no GPU half; "" where there is])
AC_SUBST([PTXAS])
AC_SUBST([GPU_ARCHS])
AC_SUBST([GENCODE])
AC_SUBST([MOE_NVCCFLAGS])
AC_SUBST([CUDA_CPPFLAGS])
AM_CONDITIONAL([HAVE_CUDA], [test "x$moe_cuda" = xyes])
])
