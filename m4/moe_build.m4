# MOE_WERROR: --enable-werror, for CI; never on for a user, whose compiler we do not know.
AC_DEFUN([MOE_WERROR], [
AC_ARG_ENABLE([werror],
  [AS_HELP_STRING([--enable-werror], [warnings end the build @<:@no@:>@])],
  [], [enable_werror=no])
WERROR_CFLAGS= moe_werror_summary=
AS_IF([test "x$enable_werror" != xno], [WERROR_CFLAGS=-Werror moe_werror_summary="(-Werror)"])
AC_SUBST([WERROR_CFLAGS])
])

# MOE_SANITIZERS: --enable-sanitizers=LIST, compiles everything of ours with -fsanitize=LIST. The
# user's CFLAGS stay the user's.
AC_DEFUN([MOE_SANITIZERS], [
AC_ARG_ENABLE([sanitizers],
  [AS_HELP_STRING([--enable-sanitizers=LIST], [such as address,undefined @<:@no@:>@])],
  [], [enable_sanitizers=no])
AS_CASE([$enable_sanitizers],
  [no], [SANITIZER_CFLAGS= moe_sanitizers_summary=none],
  [yes], [AC_MSG_ERROR([--enable-sanitizers wants a list, such as address,undefined])],
  [SANITIZER_CFLAGS="-fsanitize=$enable_sanitizers -fno-omit-frame-pointer -fno-sanitize-recover=all"
   moe_sanitizers_summary=$enable_sanitizers
   moe_save_CFLAGS=$CFLAGS
   CFLAGS="$CFLAGS $SANITIZER_CFLAGS"
   AC_MSG_CHECKING([whether $CC links with -fsanitize=$enable_sanitizers])
   AC_LINK_IFELSE([AC_LANG_PROGRAM], [AC_MSG_RESULT([yes])],
     [AC_MSG_RESULT([no])
      AC_MSG_ERROR([$CC cannot build with -fsanitize=$enable_sanitizers (see config.log)])])
   CFLAGS=$moe_save_CFLAGS])
AC_SUBST([SANITIZER_CFLAGS])
])
