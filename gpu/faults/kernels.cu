// kernels.cu - all kernels of the variant `cublas` in one module, with faults to choose from.
#include "gpu/kernels/route.cu"
#include "gpu/kernels/rounding.cu"
#include "gpu/kernels/rows.cu"
#include "gpu/kernels/elementwise.cu"
#include "gpu/kernels/fill.cu"

// Turns one fault on, or (FAULT_NONE) all off.
extern "C" __global__ void plant_fault(int fault)
{
    planted_fault = fault;
}
