/*
 * t_turn.c - turns on the GPU: shared ones together, one alone; who wants to be alone is not kept
 * out by those who come after; a turn ends with its process.
 *
 * Locks of two descriptions of one file exclude each other in one process as between two.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support.h"
#include "verify/on_device_turn.h"

#define SHORT 0.05 /* seconds, for what is not to be had */
#define LONG 5.0   /* for what is */

static char folder[] = "/tmp/moecheck-turn.XXXXXX";

static void take_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    on_device_turn_folder = folder;
}

static void give_folder(void)
{
    folder_remove(folder);
}

static int must_take(int alone)
{
    on_device_turn_seconds = LONG;
    const int turn = on_device_turn_take(alone);
    ck_assert_int_ge(turn, 0);
    return turn;
}

static void must_not(int alone)
{
    on_device_turn_seconds = SHORT;
    ck_assert_int_eq(on_device_turn_take(alone), -1);
}

START_TEST(shared_or_alone)
{
    const int first = must_take(0), second = must_take(0);
    must_not(1);
    on_device_turn_give(first);
    must_not(1);
    on_device_turn_give(second);
    const int alone = must_take(1);
    must_not(0);
    must_not(1);
    on_device_turn_give(alone);
    on_device_turn_give(-1);
    on_device_turn_give(must_take(0));
}
END_TEST

/* One who waits to be alone shuts the gate: then a shared turn is not to be had beside another
 * shared one. */
START_TEST(nobody_overtakes)
{
    int later = 0, status;
    const int first = must_take(0);
    const pid_t waiting = fork();
    on_device_turn_seconds = waiting == 0 ? LONG : SHORT;
    if (waiting == 0) {
        on_device_turn_give(first); /* the child's copy; the parent still has it */
        _exit(on_device_turn_take(1) < 0);
    }
    for (int i = 0; i < 1000 && later >= 0; i++) {
        later = on_device_turn_take(0);
        on_device_turn_give(later);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    ck_assert_int_eq(later, -1);
    on_device_turn_give(first);
    ck_assert_int_eq(waitpid(waiting, &status, 0), waiting);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    on_device_turn_give(must_take(0)); /* and opens it again */
}
END_TEST

START_TEST(ends_with_its_process)
{
    int status;
    const pid_t child = fork();
    if (child == 0)
        _exit(on_device_turn_take(1) < 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    on_device_turn_give(must_take(1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("turn");
    TCase *turns = tcase_create("turns");
    tcase_add_checked_fixture(turns, take_folder, give_folder);
    tcase_add_test(turns, shared_or_alone);
    tcase_add_test(turns, nobody_overtakes);
    tcase_add_test(turns, ends_with_its_process);
    suite_add_tcase(suite, turns);
    return run_suite(suite);
}
