#!/bin/sh
# gpu_session - all that needs a GPU, in one sitting of a few minutes, in this folder (`make
# moecheck-tests`): the tests for a GPU, planted faults and what finds them, drawn cases, sanitizers,
# benches.
#
#     ./gpu_session [-o FOLDER] [-t SECONDS] [-v GLOB] [STAGE...]
#
# Results go to FOLDER (default: session), one file a stage, and summary.txt grows with every stage
# that ends, so that a cut leaves what was done. Each stage has a limit of its own, and all have
# SECONDS together (default: 480); what no time is left for is not run. -v: whose cases are drawn,
# sanitized and timed (default: cublas). A GPU that cannot be used is a failure. The exit status is 1
# where a stage failed or was cut short, else 0.
#
# Stages, in their order:
#     tests       the programs of gpu.list, by ./run -g
#     large       cases of more than 2^31 elements and the faults that only these show
#     fuzz        the corpus and drawn cases, every check
#     memcheck, racecheck, synccheck, initcheck
#                 compute-sanitizer, where there is one, on small cases of the corpus
#     small, models
#                 the suites of `moecheck bench`

set -u
cd "$(dirname "$0")" || exit 2
folder=session
total=480
variant=cublas
fuzz_seconds=${MOE_FUZZ_SECONDS:-45}
while getopts o:t:v: option; do
    case $option in
    o) folder=$OPTARG ;;
    t) total=$OPTARG ;;
    v) variant=$OPTARG ;;
    *) sed -n 's/^#     \(\.\/gpu_session.*\)/usage: \1/p' "$0" >&2 && exit 2 ;;
    esac
done
shift $((OPTIND - 1))
mkdir -p "$folder" || exit 2
folder=$(cd "$folder" && pwd) || exit 2
begin=$(date +%s)
failed=0
export MOE_REQUIRE_GPU=1

note()
{
    printf '%s\n' "$*" | tee -a "$folder/summary.txt"
}

# stage NAME LIMIT FILE COMMAND...: the command, all that it says in FILE, and a line for it.
stage()
{
    name=$1
    limit=$2
    file=$folder/$3
    shift 3
    case " $chosen " in *" $name "*) ;; *) return ;; esac
    left=$((total - $(date +%s) + begin))
    if test "$left" -lt 5; then
        note "$name: not run, no time is left"
        failed=1
        return
    fi
    test "$left" -lt "$limit" && limit=$left
    from=$(date +%s)
    timeout -k 5 "$limit" "$@" >"$file" 2>&1 </dev/null
    status=$?
    verdict=ok
    case $status in
    0) ;;
    77) verdict=skipped ;;
    124 | 137) verdict="cut after $limit s" failed=1 ;;
    *) verdict="FAILED, exit status $status" failed=1 ;;
    esac
    note "$name: $verdict, $(($(date +%s) - from)) s: $(tail -n 1 "$file" | cut -c 1-200)"
}

# Small cases of the corpus: those of few tokens and experts, where each kernel runs once.
small_cases()
{
    grep -h '^[A-Za-z]' fuzz/corpus/*.cases | awk '{
        T = E = 1
        for (i = 1; i <= NF; i++) {
            if ($i ~ /^T=/) T = substr($i, 3)
            if ($i ~ /^E=/) E = substr($i, 3)
        }
        if (T + 0 <= 64 && E + 0 <= 16)
            print
    }' | head -n "${MOE_SANITIZER_CASES:-16}"
}

sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)

# sanitize TOOL: one worker, plain runs; what surrounds a call in other checks is ours, and slow there.
sanitize()
{
    if ! test -x "$sanitizer"; then
        case " $chosen " in *" $1 "*) note "$1: skipped, there is no compute-sanitizer" ;; esac
        return
    fi
    stage "$1" 60 "$1.log" "$sanitizer" --tool "$1" --target-processes all --error-exitcode 9 \
        ./moecheck replay --jobs 1 --device cuda --variant "$variant" --timeout 50 \
        --check inputs,guards,bound "$folder/small.cases"
}

chosen=${*:-tests large fuzz memcheck racecheck synccheck initcheck small models}
: >"$folder/summary.txt"
note "$(uname -m), $(nproc) CPUs; $(nvidia-smi --query-gpu=name,driver_version,memory.total \
    --format=csv,noheader 2>/dev/null || echo 'no nvidia-smi')"
small_cases >"$folder/small.cases"

stage tests 400 tests.log ./run -g
if test -d logs; then
    tar czf "$folder/logs.tar.gz" logs
    cat logs/tests_t_gpu_*.log logs/tests_t_hopper_faults.log 2>/dev/null | awk '
        / (FAIL|PASS) / && sub(/^(not )?ok [0-9]+ - /, "") {
            fault = $0
            sub(/: .*/, "", fault)
            answer = $0
            sub(/^[^:]*: /, "", answer)
            printf "%-40s %s\n", fault, answer
        }' >"$folder/faults.txt"
    note "faults on a GPU: $(grep -c ' FAIL by ' "$folder/faults.txt") found, in faults.txt"
fi
stage large 240 large.log env MOE_TEST_SIZE=paranoid ./tests/t_gpu_faults '*-int32' none
stage fuzz $((fuzz_seconds + 60)) fuzz.json ./moecheck fuzz --device cuda --variant "$variant" \
    --budget "${fuzz_seconds}s" --seed "${MOE_SEED:-1}" --json
for tool in memcheck racecheck synccheck initcheck; do
    sanitize $tool
done
stage small 60 small.json ./moecheck bench --suite small --variant "$variant" --json
stage models 60 models.json ./moecheck bench --suite models --variant "$variant" --json
note "$(($(date +%s) - begin)) s in all"
exit $failed
