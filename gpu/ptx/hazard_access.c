/*
 * hazard_access.c - each access against the marks that others left, and its own mark.
 *
 * A write is compared with the last write and with the reads since; a read with the last write.
 * Of reads that nothing orders some are kept: READS_MOST in all, so that memory that all read costs
 * no more than that.
 */
#include <string.h>

#include "gpu/ptx/hazard_own.h"

#define READS_MOST 6

struct visit {
    struct hazard *hazard;
    const struct ptx_access *access;
    const struct view *view; /* [views]: who all must know what was before */
    uint32_t views;
    struct shadow *shadow;
    int lane;
    uint32_t first; /* earlier agents are of another time */
    uint32_t agent, epoch, own, site;
    uint64_t offset;
    /* found last in view->known */
    const struct clock *found_in;
    const uint32_t *found;
    uint32_t found_agent;
    int by_operation;
};

static unsigned how_of(uint32_t site)
{
    return site >> SITE_HOW;
}

static int covers(const struct clock *clock, uint32_t agent, int lane, uint32_t epoch)
{
    const uint32_t *found = clock_find(clock, agent);
    return found && found[lane] >= epoch;
}

static void take_least(const struct clock *clock, uint32_t agent, uint32_t least[PTX_LANES])
{
    const uint32_t *found = clock_find(clock, agent);
    for (int lane = 0; lane < PTX_LANES; lane++) {
        const uint32_t epoch = found ? found[lane] : 0;
        least[lane] = least[lane] < epoch ? least[lane] : epoch;
    }
}

static void fill_common(const struct visit *visit, uint32_t agent, struct common *common)
{
    memset(common, 0xff, sizeof *common);
    common->agent = agent;
    for (uint32_t i = 0; i < visit->views; i++) {
        take_least(visit->view[i].known, agent, common->known);
        take_least(visit->view[i].fenced, agent, common->fenced);
    }
}

/* Of operations alone. */
static inline const struct common *common_of(const struct visit *visit, uint32_t agent)
{
    struct common *common = &visit->hazard->common[agent % COMMONS];
    if (common->agent != agent)
        fill_common(visit, agent, common);
    return common;
}

static inline int knows(struct visit *visit, uint32_t agent, int lane, uint32_t epoch)
{
    if (visit->by_operation)
        return common_of(visit, agent)->known[lane] >= epoch;
    if (visit->found_in != visit->view->known || visit->found_agent != agent) {
        visit->found_in = visit->view->known;
        visit->found_agent = agent;
        visit->found = clock_find(visit->view->known, agent);
    }
    return visit->found && visit->found[lane] >= epoch;
}

/* Does a fence.mbarrier_init, and what carried it here, order an initialisation before this? */
static int knows_begin(const struct visit *visit, uint32_t agent, int lane, uint32_t epoch)
{
    for (uint32_t i = 0; i < visit->views; i++)
        if (!covers(visit->view[i].begun, agent, lane, epoch))
            return 0;
    return 1;
}

/* The same of a mark. Who knows of the fence before a strong write by that write knows it too. */
static int knows_mark(struct visit *visit, uint32_t agent, int lane, uint32_t epoch, uint32_t site)
{
    if (how_of(site) & MARK_BEGIN && knows_begin(visit, agent, lane, epoch))
        return 1;
    return knows(visit, agent, lane, how_of(site) & MARK_FENCED ? epoch - 1 : epoch);
}

/* Strong accesses whose scopes hold both threads do not race. */
static int is_moral(const struct visit *visit, uint32_t agent, unsigned how)
{
    const unsigned mine = how_of(visit->site);
    if (!(mine & how & MARK_STRONG))
        return 0;
    const struct agent *a = hazard_agent_of(visit->hazard, visit->agent),
                       *b = hazard_agent_of(visit->hazard, agent);
    const unsigned need = a->cta == b->cta           ? PTX_SCOPE_CTA
                          : a->cluster == b->cluster ? PTX_SCOPE_CLUSTER
                                                     : PTX_SCOPE_GPU;
    return (mine >> MARK_SCOPE & 3) >= need && (how >> MARK_SCOPE & 3) >= need;
}

/* Is the other's access visible in the proxy of this one? */
static int is_fenced(const struct visit *visit, uint32_t agent, int lane, uint32_t epoch,
                     unsigned how)
{
    const int reads_map = visit->access->proxy == PTX_PROXY_TENSORMAP;
    if (!reads_map && (!(how_of(visit->site) & MARK_ASYNC) || how & MARK_ASYNC))
        return 1;
    if (how & how_of(visit->site) & MARK_ATOMIC && !(how & MARK_BEGIN))
        return 1; /* mbarriers are operated on through both */
    if (visit->by_operation && !reads_map && common_of(visit, agent)->fenced[lane] >= epoch)
        return 1;
    for (uint32_t i = 0; i < visit->views; i++) {
        const struct view *view = &visit->view[i];
        const int is_begun = how & MARK_BEGIN && covers(view->begun, agent, lane, epoch);
        if (!is_begun && !covers(reads_map ? view->mapped : view->fenced, agent, lane, epoch))
            return 0;
    }
    return 1;
}

static void meet(struct visit *visit, int other_writes, uint32_t agent, uint32_t site, int lane,
                 uint32_t epoch)
{
    const struct meeting meeting = {.access = visit->access,
                                    .lane = visit->lane,
                                    .offset = visit->offset,
                                    .bytes = 1u << visit->shadow->shift,
                                    .other_writes = other_writes,
                                    .agent = agent,
                                    .site = site,
                                    .other_lane = lane};
    /* What a thread did itself is ordered before, and may lack a fence nevertheless. */
    const int is_own = agent == visit->agent && 1u << lane == visit->own;
    if (!is_own && !knows_mark(visit, agent, lane, epoch, site)) {
        if (!is_moral(visit, agent, how_of(site)))
            hazard_report_race(visit->hazard, &meeting);
    } else if (!is_fenced(visit, agent, lane, epoch, how_of(site))) {
        hazard_report_proxy(visit->hazard, &meeting);
    }
}

/* Is one of the two not of the generic proxy? */
static unsigned crosses(const struct visit *visit, uint32_t site)
{
    return ((how_of(visit->site) | how_of(site)) & MARK_ASYNC) |
           (visit->access->proxy == PTX_PROXY_TENSORMAP);
}

static void check_write(struct visit *visit, const struct write_mark *write)
{
    if (write->agent < visit->first)
        return;
    const int lane = (int)(write->site >> SITE_LANE & 31);
    const unsigned any = crosses(visit, write->site);
    if (write->agent == visit->agent && (1u << lane) == visit->own &&
        (!any || write->epoch == visit->epoch))
        return;
    if (!knows_mark(visit, write->agent, lane, write->epoch, write->site) ||
        (any && !is_fenced(visit, write->agent, lane, write->epoch, how_of(write->site))))
        meet(visit, 1, write->agent, write->site, lane, write->epoch);
}

static void check_read(struct visit *visit, const struct read_mark *read)
{
    const unsigned any = crosses(visit, read->site);
    for (uint32_t rest = read->lanes; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        if (read->agent == visit->agent && (rest & -rest) == visit->own &&
            (!any || read->epoch == visit->epoch))
            continue;
        if (!knows_mark(visit, read->agent, lane, read->epoch, read->site) ||
            (any && !is_fenced(visit, read->agent, lane, read->epoch, how_of(read->site))))
            meet(visit, 0, read->agent, read->site, lane, read->epoch);
    }
}

/* Does this access come after all of these reads? */
static int is_behind(struct visit *visit, const struct read_mark *read)
{
    if (read->agent < visit->first)
        return 1;
    const uint32_t others = read->agent == visit->agent ? read->lanes & ~visit->own : read->lanes;
    for (uint32_t rest = others; rest; rest &= rest - 1)
        if (!knows(visit, read->agent, __builtin_ctz(rest), read->epoch))
            return 0;
    return 1;
}

/* The read before goes to the others, of which those go that are behind now. */
static uint32_t push(struct visit *visit, struct cell *cell)
{
    struct hazard *hazard = visit->hazard;
    int kept = 0;
    for (uint32_t *at = &cell->more; *at;) {
        struct more_reads *more = &hazard->reads[*at];
        if (++kept == READS_MOST - 1 || is_behind(visit, &more->read))
            *at = more->next;
        else
            at = &more->next;
    }
    return hazard_keep_read(hazard, &cell->read, cell->more);
}

static void read_cell(struct visit *visit, struct cell *cell)
{
    struct read_mark *read = &cell->read;
    check_write(visit, &cell->write);
    if (read->agent == visit->agent && read->epoch == visit->epoch &&
        how_of(read->site) == how_of(visit->site)) {
        read->lanes |= visit->own;
        read->site = visit->site;
        return;
    }
    if (read->agent < visit->first)
        cell->more = 0;
    else if (!is_behind(visit, read))
        cell->more = push(visit, cell);
    *read = (struct read_mark){visit->agent, visit->epoch, visit->site, visit->own};
}

static void write_cell(struct visit *visit, struct cell *cell)
{
    check_write(visit, &cell->write);
    if (cell->read.agent >= visit->first) {
        check_read(visit, &cell->read);
        for (uint32_t at = cell->more; at; at = visit->hazard->reads[at].next)
            check_read(visit, &visit->hazard->reads[at].read);
    }
    cell->read.agent = 0;
    cell->more = 0;
    cell->write = (struct write_mark){visit->agent, visit->epoch, visit->site};
}

/* Operations on an mbarrier need not know of each other, but its initialisation comes before them,
 * and mbarrier.inval or what is written there next behind. So they are marked as reads are. */
static int operates(const struct visit *visit, const struct cell *cell)
{
    return cell->write.agent >= visit->first && how_of(cell->write.site) & MARK_BEGIN &&
           how_of(visit->site) & MARK_ATOMIC;
}

/* ---- what operations find in order -----------------------------------------------------------
 *
 * Nearly all cells that an operation comes to are as they should be, and there are very many. So
 * these ask for more than order needs, and 0 means that nothing was done.
 */

static inline int is_covered(const struct visit *visit, uint32_t agent, int lane, uint32_t epoch,
                             uint32_t site)
{
    const struct common *common = common_of(visit, agent);
    return common->known[lane] >= epoch &&
           (how_of(site) & MARK_ASYNC || common->fenced[lane] >= epoch);
}

static inline int is_write_covered(const struct visit *visit, const struct write_mark *write)
{
    return write->agent < visit->first ||
           is_covered(visit, write->agent, (int)(write->site >> SITE_LANE & 31), write->epoch,
                      write->site);
}

static inline int read_ordered(const struct visit *visit, struct cell *cell)
{
    const struct read_mark *read = &cell->read;
    const uint32_t first = read->lanes & -read->lanes;
    if (!is_write_covered(visit, &cell->write))
        return 0;
    if (read->agent < visit->first)
        cell->more = 0;
    else if (read->lanes != first ||
             (read->agent == visit->agent
                  ? first != visit->own
                  : common_of(visit, read->agent)->known[__builtin_ctz(first)] < read->epoch))
        return 0;
    cell->read = (struct read_mark){visit->agent, visit->epoch, visit->site, visit->own};
    return 1;
}

static inline int write_ordered(const struct visit *visit, struct cell *cell)
{
    const struct read_mark *read = &cell->read;
    const uint32_t first = read->lanes & -read->lanes;
    if (!is_write_covered(visit, &cell->write))
        return 0;
    if (read->agent >= visit->first &&
        (read->lanes != first || cell->more ||
         !is_covered(visit, read->agent, __builtin_ctz(first), read->epoch, read->site)))
        return 0;
    cell->read.agent = 0;
    cell->more = 0;
    cell->write = (struct write_mark){visit->agent, visit->epoch, visit->site};
    return 1;
}

/* How many cells from `begin` on are done. */
static uint64_t visit_ordered(const struct visit *visit, struct cell *cells, uint64_t begin,
                              uint64_t end)
{
    uint64_t i = begin;
    if (visit->access->proxy == PTX_PROXY_TENSORMAP)
        return 0;
    if (visit->access->kind == PTX_READ)
        while (i < end && read_ordered(visit, &cells[i]))
            i++;
    else if (visit->access->kind == PTX_WRITE)
        while (i < end && write_ordered(visit, &cells[i]))
            i++;
    return i - begin;
}

static void visit_lane(struct visit *visit)
{
    const struct ptx_access *access = visit->access;
    struct ptx_block *block = access->block[visit->lane];
    const uint64_t offset = access->offset[visit->lane];
    struct shadow *shadow = block->hazard;
    if (!shadow || (offset | access->bytes) & ((1u << shadow->shift) - 1)) {
        shadow = hazard_shadow(visit->hazard, block, offset, access->bytes);
        if (!shadow)
            return;
    }
    visit->shadow = shadow;
    visit->first =
        shadow->first > visit->hazard->first_agent ? shadow->first : visit->hazard->first_agent;
    const uint64_t end = (offset + access->bytes) >> shadow->shift;
    uint64_t i = offset >> shadow->shift;
    if (visit->by_operation)
        i += visit_ordered(visit, shadow->cells, i, end);
    for (; i < end && !visit->hazard->machine->stopped; i++) {
        visit->offset = i << shadow->shift;
        if (access->kind == PTX_READ || operates(visit, &shadow->cells[i]))
            read_cell(visit, &shadow->cells[i]);
        else
            write_cell(visit, &shadow->cells[i]);
    }
}

static int is_begin(const struct ptx_code *code)
{
    const char *name = code->instruction->opcode->name;
    return name[0] == 'm' && !strcmp(name, "mbarrier.init");
}

static uint32_t site_of(const struct ptx_access *access, unsigned how)
{
    const struct ptx_program *program = access->cta->machine->program;
    const uint64_t index = (uint64_t)(access->code - program->code);
    if (access->order != PTX_ORDER_WEAK)
        how |= MARK_STRONG | (unsigned)access->scope << MARK_SCOPE;
    if (access->kind == PTX_ATOMIC)
        how |= MARK_ATOMIC;
    if (access->proxy == PTX_PROXY_ASYNC)
        how |= MARK_ASYNC;
    if (access->kind == PTX_WRITE && is_begin(access->code))
        how |= MARK_BEGIN;
    return how << SITE_HOW | (uint32_t)(index < SITE_MAX ? index : SITE_MAX);
}

/* By an engine. Lanes are threads where cp.async copies, and pieces of one whole else. */
static void by_operation(struct hazard *hazard, const struct ptx_access *access)
{
    const struct operation *operation = hazard_operation(hazard, access->agent);
    if (!operation)
        return;
    const int copies = operation->how & MARK_COPY;
    const uint32_t site = site_of(access, operation->how);
    struct visit visit = {.hazard = hazard,
                          .access = access,
                          .view = operation->view,
                          .views = operation->views,
                          .agent = access->kind == PTX_READ ? operation->reader : operation->agent,
                          .epoch = operation->epoch,
                          .by_operation = 1};
    if (hazard->common_of != operation->number) {
        for (uint32_t i = 0; i < COMMONS; i++)
            hazard->common[i].agent = 0;
        hazard->common_of = operation->number;
    }
    for (uint32_t rest = access->lanes; rest && !hazard->machine->stopped; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const int marked = copies ? lane : __builtin_ctz(operation->lanes);
        if (access->block[lane]->read_only)
            continue;
        visit.lane = lane;
        visit.own = 1u << marked;
        visit.site = site | (uint32_t)marked << SITE_LANE;
        visit_lane(&visit);
    }
}

/* Operations on mbarriers order by phases, not by their word. */
static int is_word(const struct ptx_access *access)
{
    return access->order != PTX_ORDER_WEAK &&
           strncmp(access->code->instruction->opcode->name, "mbarrier", 8) != 0;
}

void hazard_access(void *data, struct ptx_machine *machine, const struct ptx_access *access)
{
    struct hazard *hazard = data;
    if (hazard->failed || !access->code)
        return;
    if (!access->warp) {
        by_operation(hazard, access);
        return;
    }
    struct hazard_warp *warp = access->warp->hazard;
    const uint32_t site = site_of(access, 0);
    const int word = is_word(access), writes = access->kind != PTX_READ;
    struct visit visit = {.hazard = hazard, .access = access, .views = 1, .agent = warp->agent};
    for (uint32_t rest = access->lanes; rest && !machine->stopped; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const struct ptx_block *block = access->block[lane];
        if (block->space == PTX_SPACE_LOCAL || block->space == PTX_SPACE_PARAM || block->read_only)
            continue;
        if (word)
            hazard_acquire(hazard, access, lane);
        else if (writes)
            hazard_overwrite(hazard, access, lane);
        visit.lane = lane;
        visit.view = &warp->view[lane];
        visit.own = 1u << lane;
        visit.site = site | (uint32_t)lane << SITE_LANE;
        visit.epoch = warp->epoch;
        if (word && writes && warp->has_fence >> lane & 1) {
            visit.site |= MARK_FENCED << SITE_HOW;
            visit.epoch = warp->fence_epoch[lane] + 1;
        }
        visit_lane(&visit);
        if (word && writes)
            hazard_release(hazard, access, lane);
    }
}
