/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_limits.h"

#include "base/codec.h"

static const char *const kind_names[DV_API_LIMIT_KINDS] = {"key",     "user",  "group", "address",
                                                           "network", "model", "route"};

const char *dv_api_limit_kind_name(dv_api_limit_kind kind)
{
    return kind_names[kind];
}

dv_result dv_api_limit_kind_parse(dv_slice name, dv_api_limit_kind *ret_kind)
{
    for (unsigned i = 0; i < DV_API_LIMIT_KINDS; i++) {
        if (dv_slice_eq_str(name, kind_names[i])) {
            *ret_kind = (dv_api_limit_kind)i;
            return DV_OK;
        }
    }
    return DV_ERR_NOT_FOUND;
}

dv_counters_table dv_api_limit_table(dv_api_limit_kind kind)
{
    return kind == DV_API_LIMIT_ADDRESS ? DV_COUNTERS_ADDRESSES
           : kind == DV_API_LIMIT_MODEL ? DV_COUNTERS_MODELS
                                        : DV_COUNTERS_KEYS;
}

bool dv_api_limit_same_place(const dv_api_limit *a, const dv_api_limit *b)
{
    return a->kind == b->kind && a->unit == b->unit &&
           (a->kind != DV_LIMIT_RATE || a->rate.period == b->rate.period) &&
           (a->kind != DV_LIMIT_BUDGET || a->period == b->period);
}

/* -- in the snapshot --------------------------------------------------------------------------- */

dv_result dv_api_limits_encode(const dv_api_limits *limits, dv_buf *out)
{
    for (size_t i = 0; i < limits->count; i++) {
        const dv_api_limit *limit = &limits->items[i];
        uint8_t record[DV_API_LIMIT_RECORD] = {(uint8_t)limit->kind, (uint8_t)limit->unit,
                                               (uint8_t)limit->period};
        dv_put_u64(record + 8, limit->rate.count);
        dv_put_u64(record + 16, (uint64_t)limit->rate.period);
        dv_put_u64(record + 24, limit->rate.burst);
        dv_put_u64(record + 32, limit->max);
        DV_TRY(dv_buf_append(out, dv_slice_of(record, sizeof(record))));
    }
    return DV_OK;
}

/* Cost is only budgeted, what runs at once is requests. */
static bool unit_fits(const dv_api_limit *limit)
{
    switch (limit->kind) {
    case DV_LIMIT_RATE:
        return limit->unit != DV_LIMIT_COST;
    case DV_LIMIT_BUDGET:
        return limit->unit != DV_LIMIT_REQUESTS;
    case DV_LIMIT_CONCURRENT:
        break;
    }
    return limit->unit == DV_LIMIT_REQUESTS;
}

static uint64_t max_of(const dv_api_limit *limit)
{
    return limit->kind == DV_LIMIT_CONCURRENT ? DV_LIMIT_CONCURRENT_MAX : DV_LIMIT_BUDGET_MAX;
}

static dv_result decode_one(const uint8_t *record, dv_api_limit *ret_limit)
{
    static const uint8_t reserved[5] = {0};
    dv_api_limit limit = {
        .kind = (dv_limit_kind)record[0],
        .unit = (dv_limit_unit)record[1],
        .period = (dv_limit_period)record[2],
        .rate = {dv_get_u64(record + 8), (dv_time)dv_get_u64(record + 16), dv_get_u64(record + 24)},
        .max = dv_get_u64(record + 32)};
    bool numbers = dv_limit_rate_check(&limit.rate, NULL) == DV_OK && limit.max <= max_of(&limit);
    if (record[0] > DV_LIMIT_CONCURRENT || record[1] > DV_LIMIT_COST ||
        record[2] > DV_LIMIT_MONTH || memcmp(record + 3, reserved, sizeof(reserved)) != 0 ||
        !numbers || !unit_fits(&limit)) {
        return DV_ERR_CORRUPT;
    }
    *ret_limit = limit;
    return DV_OK;
}

dv_result dv_api_limits_decode(dv_slice bytes, dv_api_limits *ret_limits)
{
    size_t count = bytes.len / DV_API_LIMIT_RECORD;
    if (bytes.len % DV_API_LIMIT_RECORD != 0 || count > DV_API_LIMITS_MAX) {
        return DV_ERR_CORRUPT;
    }
    for (size_t i = 0; i < count; i++) {
        DV_TRY(decode_one(bytes.ptr + i * DV_API_LIMIT_RECORD, &ret_limits->items[i]));
    }
    ret_limits->count = count;
    return DV_OK;
}

/* -- networks ---------------------------------------------------------------------------------- */

static bool bit_of(const dv_address *address, unsigned bit)
{
    return (address->bytes[bit / 8] >> (7 - bit % 8) & 1) != 0;
}

/* A number without a leading zero. */
static bool read_bits(dv_slice text, unsigned max, unsigned *ret_bits)
{
    unsigned bits = 0;
    if (text.len == 0 || text.len > 3 || (text.len > 1 && text.ptr[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        bits = bits * 10 + (unsigned)(text.ptr[i] - '0');
    }
    *ret_bits = bits;
    return bits <= max;
}

static bool has_upper_case(dv_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] >= 'A' && text.ptr[i] <= 'Z') {
            return true;
        }
    }
    return false;
}

dv_result dv_api_network_parse(dv_slice text, dv_api_network *ret_network)
{
    dv_api_network network = {.text = text};
    ptrdiff_t slash = dv_slice_find_byte(text, '/');
    if (slash < 0 || text.len > 60 || has_upper_case(text)) {
        return DV_ERR_INVALID;
    }
    dv_slice address = dv_slice_sub(text, 0, (size_t)slash);
    bool six = dv_slice_find_byte(address, ':') >= 0;
    dv_slice bits = dv_slice_sub(text, (size_t)slash + 1, text.len);
    DV_TRY(dv_address_parse(address, &network.base));
    if (!read_bits(bits, six ? 128 : 32, &network.bits)) {
        return DV_ERR_INVALID;
    }
    network.bits += six ? 0 : 96;
    for (unsigned bit = network.bits; bit < 128; bit++) {
        if (bit_of(&network.base, bit)) {
            return DV_ERR_INVALID;
        }
    }
    *ret_network = network;
    return DV_OK;
}

bool dv_api_network_has(const dv_api_network *network, const dv_address *address)
{
    unsigned whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    if (memcmp(network->base.bytes, address->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || ((network->base.bytes[whole] ^ address->bytes[whole]) >> (8 - rest)) == 0;
}

dv_result dv_api_named_parse(dv_slice kinds, dv_slice networks, dv_api_named *named)
{
    named->network_count = 0;
    if (networks.len > sizeof(named->text) || (kinds.len != 0 && kinds.len != DV_API_LIMIT_KINDS)) {
        return DV_ERR_CORRUPT;
    }
    for (size_t i = 0; i < DV_API_LIMIT_KINDS; i++) {
        named->kinds[i] = kinds.len > 0 && kinds.ptr[i] != 0;
    }
    if (networks.len > 0) {
        memcpy(named->text, networks.ptr, networks.len);
    }
    dv_slice rest = dv_slice_of(named->text, networks.len);
    dv_slice text = {0};
    while (rest.len > 0 && dv_slice_split(&rest, ' ', &text)) {
        if (named->network_count == DV_API_NETWORKS_MAX ||
            dv_api_network_parse(text, &named->networks[named->network_count]) != DV_OK) {
            return DV_ERR_CORRUPT;
        }
        named->network_count++;
    }
    return DV_OK;
}

/* -- charges ----------------------------------------------------------------------------------- */

dv_result dv_api_subject(dv_arena *arena, dv_slice kind, dv_slice name, dv_slice *ret_subject)
{
    static const char prefix[] = DV_API_NAMED_PREFIX;
    size_t start = sizeof(prefix) - 1;
    size_t len = start + kind.len + 1 + name.len;
    char *text = dv_arena_alloc_raw(arena, len);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memcpy(text, prefix, start);
    memcpy(text + start, kind.ptr, kind.len);
    text[start + kind.len] = '/';
    if (name.len > 0) {
        memcpy(text + start + kind.len + 1, name.ptr, name.len);
    }
    *ret_subject = dv_slice_of(text, len);
    return DV_OK;
}

dv_slice dv_api_subject_key(dv_slice subject)
{
    return dv_slice_sub(subject, sizeof(DV_API_NAMED_PREFIX) - 1, subject.len);
}

static bool is_due(const dv_api_limit *limit, dv_api_when when)
{
    return (limit->unit == DV_LIMIT_REQUESTS) == (when == DV_API_AT_ONCE);
}

/* One whose number is 0 lifts another. */
static bool is_lifted(const dv_api_limit *limit)
{
    return limit->kind == DV_LIMIT_RATE ? limit->rate.count == 0 : limit->max == 0;
}

static dv_result make_room(dv_api_charges *charges)
{
    if (charges->count < charges->room) {
        return DV_OK;
    }
    if (charges->count == DV_LIMIT_CHARGES_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    size_t room = DV_MIN(DV_MAX(2 * charges->room, (size_t)8), (size_t)DV_LIMIT_CHARGES_MAX);
    dv_limit_charge *grown = dv_arena_alloc_raw(charges->arena, room * sizeof(*grown));
    uint8_t *kinds = dv_arena_alloc_raw(charges->arena, room);
    if (grown == NULL || kinds == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (charges->count > 0) {
        memcpy(grown, charges->charges, charges->count * sizeof(*grown));
        memcpy(kinds, charges->kinds, charges->count);
    }
    charges->charges = grown;
    charges->kinds = kinds;
    charges->room = room;
    return DV_OK;
}

static uint64_t cost_of(const dv_api_limit *limit, const dv_api_amount *amount)
{
    switch (limit->unit) {
    case DV_LIMIT_REQUESTS:
        return 1;
    case DV_LIMIT_TOKENS:
        return amount->input + amount->output;
    case DV_LIMIT_COST:
        break;
    }
    return amount->cost;
}

static dv_result add_one(dv_api_charges *charges, dv_api_limit_kind kind, dv_slice key,
                         const dv_api_limit *limit, const dv_api_amount *amount)
{
    if (limit->unit == DV_LIMIT_COST && amount->price == NULL) {
        return DV_ERR_NOT_FOUND;
    }
    DV_TRY(make_room(charges));
    dv_limit_charge *charge = &charges->charges[charges->count];
    charge->key = key;
    charge->rate = limit->rate;
    charge->cost = cost_of(limit, amount);
    charge->table = dv_api_limit_table(kind);
    charge->kind = limit->kind;
    charge->unit = limit->unit;
    charge->period = limit->period;
    charge->max = limit->max;
    charge->remaining = 0;
    charge->reset_after = 0;
    charge->label = 0;
    charge->own.charged = false;
    charges->held = charges->held || limit->kind == DV_LIMIT_CONCURRENT;
    charges->kinds[charges->count++] = (uint8_t)kind;
    return DV_OK;
}

static bool is_replaced(const dv_api_limit *limit, const dv_api_limits *own)
{
    for (size_t i = 0; own != NULL && i < own->count; i++) {
        if (dv_api_limit_same_place(limit, &own->items[i])) {
            return true;
        }
    }
    return false;
}

dv_result dv_api_charges_add(dv_api_charges *charges, dv_api_limit_kind kind, dv_slice key,
                             const dv_api_limits *of_kind, const dv_api_limits *own,
                             dv_api_when when, const dv_api_amount *amount)
{
    for (size_t i = 0; own != NULL && i < own->count; i++) {
        if (is_due(&own->items[i], when) && !is_lifted(&own->items[i])) {
            DV_TRY(add_one(charges, kind, key, &own->items[i], amount));
        }
    }
    for (size_t i = 0; i < of_kind->count; i++) {
        if (is_due(&of_kind->items[i], when) && !is_replaced(&of_kind->items[i], own)) {
            DV_TRY(add_one(charges, kind, key, &of_kind->items[i], amount));
        }
    }
    return DV_OK;
}

size_t dv_api_limit_text(dv_api_limit_kind kind, const dv_limit_charge *charge,
                         char out[DV_API_LIMIT_TEXT_MAX])
{
    static const dv_slice units[] = {DV_LIT(""), DV_LIT("-tokens"), DV_LIT("-cost")};
    static const dv_slice periods[] = {DV_LIT("-day"), DV_LIT("-month")};
    bool at_once = charge->kind == DV_LIMIT_CONCURRENT;
    const dv_slice parts[] = {
        dv_slice_str(kind_names[kind]),
        at_once ? DV_LIT("-concurrent") : units[charge->unit],
        charge->kind == DV_LIMIT_BUDGET ? periods[charge->period] : DV_LIT(""),
    };
    size_t at = 0;
    for (size_t i = 0; i < DV_ARRAY_LEN(parts); i++) {
        memcpy(out + at, parts[i].ptr, parts[i].len); /* the longest fits: "network-concurrent" */
        at += parts[i].len;
    }
    out[at] = '\0';
    return at;
}
