/*
 * on_device_turn.h - whose turn it is on the GPU.
 */
#ifndef MOE_ON_DEVICE_TURN_H
#define MOE_ON_DEVICE_TURN_H

/* Waits, not long, until nobody's run has the GPU alone, or (alone) until nobody's run is on it.
 * The turn; -1: it was not to be had. */
int on_device_turn_take(int alone);
void on_device_turn_give(int turn);

#endif
