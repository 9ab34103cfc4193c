/*
 * fault_table.h - the parts of the table of planted faults; each ends with a row without a name.
 */
#ifndef MOE_FAULT_TABLE_H
#define MOE_FAULT_TABLE_H

#include "ref/moe.h"
#include "verify/fault.h"

extern const struct moe_fault fault_memory[], fault_launch[], fault_maths[], fault_special[],
    fault_held[], fault_elsewhere[];

#endif
