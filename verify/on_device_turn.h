/*
 * on_device_turn.h - whose turn it is on the GPU.
 */
#ifndef MOE_ON_DEVICE_TURN_H
#define MOE_ON_DEVICE_TURN_H

/* Where the locks lie, and how long one waits for a turn; a test has its own. */
extern const char *on_device_turn_folder;
extern double on_device_turn_seconds;

#define ON_DEVICE_NO_TURNS (-2) /* no lock can be had here: nobody keeps from anybody */

/* Waits until nobody's run has the GPU alone, or (alone) until nobody's run is on it. The turn; -1:
 * it was not to be had; ON_DEVICE_NO_TURNS. */
int on_device_turn_take(int alone);
void on_device_turn_give(int turn);

#endif
