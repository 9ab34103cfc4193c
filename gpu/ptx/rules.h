/*
 * rules.h - the rules that the machine knows: each ends in a report, and is raised at one place.
 *
 * tests/ptx/rules.txt has for each a kernel that breaks it (t_ptx_rules), and doc/ptx.md says how
 * that is tested.
 */
#ifndef MOE_GPU_PTX_RULES_H
#define MOE_GPU_PTX_RULES_H

enum ptx_report_kind {
    PTX_REPORT_OUTSIDE, /* no memory there, or not this CTA's */
    PTX_REPORT_MISALIGNED,
    PTX_REPORT_READ_ONLY,
    PTX_REPORT_UNDEFINED,  /* what nobody wrote decides */
    PTX_REPORT_DIVERGENCE, /* lanes that must be at one instruction are not */
    PTX_REPORT_BARRIER,    /* counts, phases, re-initialisation */
    PTX_REPORT_DEADLOCK,
    PTX_REPORT_LIVELOCK,
    PTX_REPORT_RACE,
    PTX_REPORT_PROXY,      /* a fence between proxies is missing */
    PTX_REPORT_FLIGHT,     /* touched while an asynchronous operation has it */
    PTX_REPORT_DESCRIPTOR, /* of a matrix or tensor: wrong fields */
    PTX_REPORT_CLUSTER,    /* a CTA that is gone, a rank that is not there */
    PTX_REPORT_TRAP,       /* trap, a failed assert */
    PTX_REPORT_LIMIT,      /* the machine's own: no memory, no such thing here */
    PTX_REPORT_KIND_COUNT
};

/* Does it change values, or is it only against the text? */
enum ptx_report_class { PTX_REPORT_VALUE, PTX_REPORT_TEXT };

enum ptx_rule {
    PTX_NO_RULE,
    /* addresses */
    PTX_RULE_OUTSIDE_GLOBAL,
    PTX_RULE_OUTSIDE_SHARED,
    PTX_RULE_OUTSIDE_WINDOW,
    PTX_RULE_OUTSIDE_CTA,
    PTX_RULE_OUTSIDE_CLUSTER,
    PTX_RULE_NOT_SHARED,
    PTX_RULE_BRX_INDEX,
    PTX_RULE_MISALIGNED,
    PTX_RULE_READ_ONLY,
    /* what nobody wrote */
    PTX_RULE_UNKNOWN_GUARD,
    PTX_RULE_UNKNOWN_ADDRESS,
    PTX_RULE_UNKNOWN_BRANCH_INDEX,
    PTX_RULE_UNKNOWN_BARRIER_NUMBER,
    PTX_RULE_UNKNOWN_BARRIER_COUNT,
    PTX_RULE_UNKNOWN_BARRIER_REDUCTION,
    PTX_RULE_UNKNOWN_MEMBERMASK,
    PTX_RULE_UNKNOWN_WARP_SYNC_MASK,
    PTX_RULE_UNKNOWN_SHUFFLE_LANE,
    PTX_RULE_UNKNOWN_SHUFFLE_CLAMP,
    PTX_RULE_UNKNOWN_VOTE,
    PTX_RULE_UNKNOWN_MATCH,
    PTX_RULE_UNKNOWN_CTA_MASK,
    PTX_RULE_UNKNOWN_BULK_SIZE,
    PTX_RULE_UNKNOWN_COPY_SIZE,
    PTX_RULE_UNKNOWN_MAPA_ADDRESS,
    PTX_RULE_UNKNOWN_RANK,
    PTX_RULE_UNKNOWN_RANKED_ADDRESS,
    PTX_RULE_UNKNOWN_INIT_COUNT,
    PTX_RULE_UNKNOWN_TX_COUNT,
    PTX_RULE_UNKNOWN_ARRIVE_COUNT,
    PTX_RULE_UNKNOWN_STATE,
    PTX_RULE_UNKNOWN_PHASE,
    PTX_RULE_UNKNOWN_MAP_ORDINAL,
    PTX_RULE_UNKNOWN_MAP_FIELD,
    PTX_RULE_UNKNOWN_COORDINATE,
    PTX_RULE_UNKNOWN_DESCRIPTOR_A,
    PTX_RULE_UNKNOWN_DESCRIPTOR_B,
    PTX_RULE_UNKNOWN_SCALE,
    PTX_RULE_UNKNOWN_STRIDE,
    PTX_RULE_MAP_UNKNOWN,
    /* lanes and warps together */
    PTX_RULE_MEMBERMASK,
    PTX_RULE_GATHER,
    PTX_RULE_PART_OF_WARP,
    PTX_RULE_WMMA_LANES,
    PTX_RULE_WARP_SYNC_MASK,
    PTX_RULE_WARP_SYNC_EXITED,
    PTX_RULE_MAP_PUBLISHED,
    PTX_RULE_WGMMA_THREADS,
    PTX_RULE_WGMMA_INSTRUCTION,
    PTX_RULE_WGMMA_OPERANDS,
    /* barriers of a CTA and of a cluster, and registers */
    PTX_RULE_BARRIER_LANES,
    PTX_RULE_BARRIER_RANGE,
    PTX_RULE_BARRIER_COUNT,
    PTX_RULE_BARRIER_MANY,
    PTX_RULE_CLUSTER_ARRIVE,
    PTX_RULE_CLUSTER_WAIT,
    PTX_RULE_SETMAXNREG,
    /* mbarriers */
    PTX_RULE_MBARRIER_SHARED,
    PTX_RULE_MBARRIER_BEGUN,
    PTX_RULE_MBARRIER_WRITTEN,
    PTX_RULE_INIT_COUNT,
    PTX_RULE_INIT_AGAIN,
    PTX_RULE_INVAL_WAITED,
    PTX_RULE_ARRIVALS,
    PTX_RULE_PENDING_COUNT,
    PTX_RULE_NO_COMPLETE,
    PTX_RULE_TX_COUNT,
    PTX_RULE_PARITY,
    PTX_RULE_STATE,
    PTX_RULE_PHASE_MISSED,
    /* races and proxies */
    PTX_RULE_RACE,
    PTX_RULE_RACE_ALIKE,
    PTX_RULE_PROXY,
    PTX_RULE_PROXY_COPY,
    PTX_RULE_PROXY_MBARRIER,
    PTX_RULE_PROXY_MAP,
    /* asynchronous operations */
    PTX_RULE_COPY_SIZE,
    PTX_RULE_COPY_MISALIGNED,
    PTX_RULE_BULK_MULTIPLES,
    PTX_RULE_BULK_TARGETS,
    PTX_RULE_BULK_BARRIER,
    PTX_RULE_FLIGHT_FENCE,
    PTX_RULE_FLIGHT_TOUCHED,
    PTX_RULE_FLIGHT_SHARED,
    PTX_RULE_FLIGHT_WAIT,
    PTX_RULE_MAP_EDITED,
    /* descriptors */
    PTX_RULE_DESCRIPTOR,
    PTX_RULE_DESCRIPTOR_LANES,
    PTX_RULE_MAP_FIELD,
    PTX_RULE_TENSOR_MAP,
    PTX_RULE_TENSOR_RANK,
    PTX_RULE_TENSOR_CONVERTS,
    PTX_RULE_TENSOR_BOX,
    PTX_RULE_TENSOR_COORDINATE,
    PTX_RULE_TENSOR_REDUCTION,
    /* CTAs of a cluster */
    PTX_RULE_ACCESS_CTA_ENDED,
    PTX_RULE_ENGINE_CTA_ENDED,
    PTX_RULE_MAPA_RANK,
    /* ends */
    PTX_RULE_TRAP,
    PTX_RULE_ASSERT,
    PTX_RULE_DEADLOCK,
    PTX_RULE_LIVELOCK,
    PTX_RULE_NO_MEMORY,
    PTX_RULE_COUNT
};

struct ptx_rule_row {
    const char *name; /* as tests call it */
    enum ptx_report_kind kind;
    enum ptx_report_class class;
    const char *text; /* of the ISA's text; NULL: it has none */
    const char *what; /* words of the message that are the same at every report; or NULL */
};
extern const struct ptx_rule_row ptx_rules[PTX_RULE_COUNT];

const char *ptx_report_kind_name(enum ptx_report_kind kind);

#endif
