/*
 * stub_worker.h - a worker that misbehaves on demand.
 */
#ifndef STUB_WORKER_H
#define STUB_WORKER_H

/* The worker's life; argv is [program, "worker", parent, devices, plug-in...]. The "plug-in"
 * refuse, babble or die spoils its start. Returns its exit status. */
int stub_worker(int argc, char **argv);

/* Names of the variants, which are what it does; NULL past the end. A measurement carries the
 * process's number in `seconds`, the finding's text what OMP_NUM_THREADS is. */
const char *stub_name(int index);

#endif
