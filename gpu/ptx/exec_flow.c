/*
 * exec_flow.c - branches, calls, ends; and the two functions of CUDA's library that are served.
 */
#include <string.h>

#include "gpu/ptx/lower.h"
#include "gpu/ptx/machine.h"
#include "ref/moe.h"

static void run_bra(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
        warp->pc[__builtin_ctz(rest)] = (uint32_t)code->target;
}

static int lower_bra(struct ptx_build *build, const struct ptx_instruction *instruction,
                     struct ptx_code *code)
{
    code->execute = run_bra;
    code->flow = PTX_JUMP;
    code->ends = 1;
    code->target = build->code_base[build->now] + (int32_t)instruction->operands[0].part[0].value;
    return MOE_OK;
}

/* data[0]: where the function's code begins. */
static void run_indexed(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct ptx_operand *list = code->instruction->operands[1].part;
    const uint64_t *a = ptx_row(warp, code->a);
    if (ptx_require_defined(warp, code, code->a, lanes, PTX_RULE_UNKNOWN_BRANCH_INDEX))
        return;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        if (a[lane] >= (uint64_t)list->count) {
            ptx_report(warp->machine, warp, code, lane, PTX_RULE_BRX_INDEX, a[lane],
                       "brx.idx with index %llu of %d targets", (unsigned long long)a[lane],
                       list->count);
            return;
        }
        warp->pc[lane] = (uint32_t)(code->data[0] + list->part[a[lane]].part->value);
    }
}

static int lower_indexed(struct ptx_build *build, const struct ptx_instruction *instruction,
                         struct ptx_code *code)
{
    if (instruction->operands[1].part[0].count == 0)
        return ptx_refuse(build, "the label is no list of .branchtargets");
    code->execute = run_indexed;
    code->flow = PTX_INDEXED;
    code->ends = 1;
    code->data[0] = (uint64_t)build->code_base[build->now];
    return MOE_OK;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* A parameter that a call passes: from bytes of the thread's local memory to others. */
struct passing {
    uint64_t from, to, bytes;
};

struct call {
    struct passing *in, *out;
    int32_t in_count, out_count;
};

static void pass(struct ptx_warp *warp, const struct passing *passing, uint32_t lanes)
{
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        struct ptx_block *local = ptx_local(warp, lane);
        if (!local)
            return;
        memmove(local->data + passing->to, local->data + passing->from, passing->bytes);
        memmove(local->known + passing->to, local->known + passing->from, passing->bytes);
    }
}

/* data[0]: a struct call; e: the slot that holds where to return. */
static void run_call(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const struct call *call = (const struct call *)(uintptr_t)code->data[0];
    for (int32_t i = 0; i < call->in_count; i++)
        pass(warp, &call->in[i], lanes);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        ptx_row_to(warp, code->e)[lane] = warp->pc[lane]; /* behind the call */
        warp->pc[lane] = (uint32_t)code->target;
    }
    ptx_set_defined(warp, code->e, lanes);
}

/* Of a function: data[0] is where the call's results go; it is found at the call returned to. */
static void run_ret(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    if (code->e == PTX_NO_SLOT) {
        ptx_exit(warp, lanes);
        return;
    }
    const uint64_t *return_to = ptx_row(warp, code->e);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const struct ptx_code *site = &warp->program->code[return_to[lane] - 1];
        const struct call *call = (const struct call *)(uintptr_t)site->data[0];
        for (int32_t i = 0; i < call->out_count; i++)
            pass(warp, &call->out[i], 1u << lane);
        warp->pc[lane] = (uint32_t)return_to[lane];
    }
}

static int lower_ret(struct ptx_build *build, const struct ptx_instruction *instruction,
                     struct ptx_code *code)
{
    (void)instruction;
    code->execute = run_ret;
    code->flow = PTX_RETURN;
    code->ends = 1;
    code->e = build->return_to[build->now] >= 0 ? build->return_to[build->now] : PTX_NO_SLOT;
    return MOE_OK;
}

/* Formals and what is given for them, as passings. */
static int match(struct ptx_build *build, const struct ptx_formal *formals, int32_t formal_count,
                 const struct ptx_operand *list, int is_in, struct passing **passings)
{
    const struct ptx_program *program = build->program;
    const int32_t given = list ? list->count : 0;
    if (given != formal_count)
        return ptx_refuse(build, "%d parameters where the function has %d", given, formal_count);
    *passings = ptx_arena_take(program->arena, (size_t)given, sizeof **passings);
    if (!*passings)
        return lower_nomem();
    for (int32_t i = 0; i < given; i++) {
        const struct ptx_variable *formal = formals[i].variable,
                                  *actual = list->part[i].kind == PTX_SYMBOL
                                                ? list->part[i].variable
                                                : NULL;
        if (!formal || !actual || actual->space != PTX_SPACE_PARAM || actual->bytes < formal->bytes)
            return ptx_refuse(build, "parameters of calls are .param variables of equal size");
        struct passing *passing = &(*passings)[i];
        const uint64_t inside = program->offset[formal->index],
                       outside = program->offset[actual->index];
        *passing = (struct passing){.from = is_in ? outside : inside,
                                    .to = is_in ? inside : outside,
                                    .bytes = formal->bytes};
    }
    return MOE_OK;
}

/* ---- vprintf, __assertfail ------------------------------------------------------------------- */

/* data: offsets of the parameters in local memory. */
static uint64_t parameter(struct ptx_warp *warp, const struct ptx_code *code, int lane, int index)
{
    uint64_t value = 0;
    struct ptx_block *local = ptx_local(warp, lane);
    if (local)
        memcpy(&value, local->data + code->data[index], 8);
    return value;
}

static void run_vprintf(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const uint64_t format = parameter(warp, code, lane, 0),
                       values = parameter(warp, code, lane, 1);
        const int count = ptx_print(warp, code, lane, format, values);
        struct ptx_block *local = ptx_local(warp, lane);
        if (!local)
            return;
        memcpy(local->data + code->data[2], &count, sizeof count);
        memset(local->known + code->data[2], 1, sizeof count);
    }
}

static void run_assertfail(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    const int lane = __builtin_ctz(lanes);
    char message[256], file[128];
    ptx_text(warp, parameter(warp, code, lane, 0), message, sizeof message);
    ptx_text(warp, parameter(warp, code, lane, 1), file, sizeof file);
    ptx_report(warp->machine, warp, code, lane, PTX_RULE_ASSERT, 0, "assertion failed: %s, %s:%u",
               message, file, (unsigned)parameter(warp, code, lane, 2) & 0xffffffffu);
}

/* The functions of CUDA's library that nvcc calls and nobody defines. */
static const struct {
    const char *name;
    ptx_execute *execute;
    int parameters, results;
} served[] = {{"vprintf", run_vprintf, 2, 1}, {"__assertfail", run_assertfail, 5, 0}};

static int lower_served(struct ptx_build *build, const char *name, const struct ptx_operand *in,
                        const struct ptx_operand *out, struct ptx_code *code)
{
    for (size_t s = 0; s < sizeof served / sizeof *served; s++) {
        if (strcmp(served[s].name, name) != 0)
            continue;
        const int results = out ? out->count : 0;
        if (!in || in->count != served[s].parameters || results < served[s].results)
            return ptx_refuse(build, "%s with other parameters than CUDA's", name);
        for (int i = 0; i < served[s].parameters + served[s].results && i < 4; i++) {
            const struct ptx_operand *operand =
                i < served[s].parameters ? &in->part[i] : &out->part[i - served[s].parameters];
            if (operand->kind != PTX_SYMBOL || operand->variable->space != PTX_SPACE_PARAM ||
                operand->variable->bytes < 4)
                return ptx_refuse(build, "%s with parameters that are no .param variables", name);
            code->data[i] = build->program->offset[operand->variable->index];
        }
        code->execute = served[s].execute;
        return MOE_OK;
    }
    return ptx_refuse(build,
                      "'%s' has no body here; served are vprintf and __assertfail, and device "
                      "malloc and free are not supported",
                      name);
}

/* call (out), f, (in);  call f, (in);  call f; */
static int lower_call(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    const struct ptx_operand *operands = instruction->operands, *out = NULL, *in = NULL;
    int at = 0;
    if (operands[at].kind == PTX_LIST)
        out = &operands[at++];
    if (at >= instruction->operand_count || operands[at].kind != PTX_CALLEE)
        return ptx_refuse(build, "an indirect call is not supported");
    const char *name = operands[at++].function->name;
    if (at < instruction->operand_count && operands[at].kind == PTX_LIST)
        in = &operands[at++];
    if (at < instruction->operand_count)
        return ptx_refuse(build, "an indirect call is not supported");
    const struct ptx_function *function = ptx_function_find(build->program->loaded->module, name);
    if (!function)
        return lower_served(build, name, in, out, code);
    int callee = 0;
    while (callee < build->function_count && build->functions[callee] != function)
        callee++;
    if (callee == build->function_count || callee == 0)
        return ptx_refuse(build, "an entry cannot be called");
    struct call *call = ptx_arena_take(build->program->arena, 1, sizeof *call);
    if (!call)
        return lower_nomem();
    call->in_count = function->formal_count;
    call->out_count = function->return_count;
    int status = match(build, function->formals, function->formal_count, in, 1, &call->in);
    if (!status)
        status = match(build, function->returns, function->return_count, out, 0, &call->out);
    code->execute = run_call;
    code->flow = PTX_CALL;
    code->ends = 1;
    code->target = build->code_base[callee];
    code->e = build->return_to[callee];
    code->data[0] = (uint64_t)(uintptr_t)call;
    return status;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void run_exit(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    (void)code;
    ptx_exit(warp, lanes);
}

static int lower_exit(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_exit;
    code->flow = PTX_END;
    code->ends = 1;
    return MOE_OK;
}

static void run_trap(struct ptx_warp *warp, const struct ptx_code *code, uint32_t lanes)
{
    ptx_report(warp->machine, warp, code, __builtin_ctz(lanes), PTX_RULE_TRAP, 0, "%s",
               code->instruction->opcode->name);
}

static int lower_trap(struct ptx_build *build, const struct ptx_instruction *instruction,
                      struct ptx_code *code)
{
    (void)build, (void)instruction;
    code->execute = run_trap;
    code->flow = PTX_END;
    code->ends = 1;
    return MOE_OK;
}

const struct ptx_opcode ptx_opcodes_flow[] = {
    {"bra", "uni", "", "L*", lower_bra, 0, 0},
    {"brx.idx", "uni", "", "Si L*", lower_indexed, 0, 0},
    {"call", "uni", "", "M* M*? M*? M*?", lower_call, 0, 0},
    {"ret", "uni", "", "", lower_ret, 0, 0},
    {"exit", "", "", "", lower_exit, 0, 0},
    {"trap", "", "", "", lower_trap, 0, 0},
    {"brkpt", "", "", "", lower_trap, 0, 0},
    {0},
};
