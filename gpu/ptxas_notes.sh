#!/bin/sh
# ptxas_notes.sh CODE: what ptxas says in CODE.log that makes a kernel slow or wrong without an error.
#
#   C7508  setmaxnreg is ignored            C7514  wgmma is serialised: sums are touched in flight
#   C7510  wgmma is serialised: a call      C7517, C7519  waits or arrivals are put in around wgmma
#   C7511, C7512  wgmma is serialised: too few registers
#
# and, where speed is what a kernel is for, registers that are spilled. Where faults are planted, a wait
# for wgmma and its fence may be left out, and ptxas says that it puts them in.

log=$1.log
case $1 in
*gpu/faults/*) exit 0 ;;
esac
if grep -E 'C75(08|10|11|12|14|17|19)' "$log"; then
    exit 1
fi
case $1 in
*gpu/hopper/*)
    if grep 'spill' "$log" | grep -v ' 0 bytes spill stores, 0 bytes spill loads'; then
        echo "$1: registers are spilled, see $log"
        exit 1
    fi
    ;;
esac
exit 0
