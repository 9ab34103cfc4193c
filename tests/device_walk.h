/*
 * device_walk.h - what device_walk.c gives to t_device.
 */
#ifndef MOE_TESTS_DEVICE_WALK_H
#define MOE_TESTS_DEVICE_WALK_H

/* Prints "status N: TEXT", the status and the error's line with which the walk ended; returns 0. */
int device_walk(void);

#endif
