#!/bin/sh
# no_libcheck.sh - stands in the list of tests for the unit tests of a build without libcheck.

echo "configured without libcheck: the unit tests are not built"
exit 77
