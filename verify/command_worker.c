/*
 * command_worker.c - the hidden command that a supervisor starts: program worker PARENT DEVICES
 * PLUGIN...
 */
#include "verify/command.h"

const struct moe_command moe_command_worker = {"worker", NULL, moe_worker_main};
