/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/volume.h"

#include "room/data/gate/gate_private.h"

_Static_assert((int)DV_EVENT_VOLUMES_MAX == (int)DV_DATA_VOLUMES_MAX, "a record tells all");
_Static_assert(DV_DATA_VOLUMES_MAX <= 32, "a bit each");

static const char *const action_names[] = {
    [DV_VOLUME_BLOCK] = "block", [DV_VOLUME_ALERT] = "alert", [DV_VOLUME_MONITOR] = "monitor"};

/* ---- reading ---- */

static dv_result wrong(dv_error *error, const char *what)
{
    return dv_error_set(error, DV_ERR_INVALID, "data policy: a volume's %s", what);
}

static dv_result read_number(const dv_json *json, uint32_t rule, const char *name, uint64_t max,
                             uint64_t *ret_value, dv_error *error)
{
    uint32_t token = dv_json_member(json, rule, name);
    int64_t value = 0;
    if (token == 0 || json->tokens[token].type != DV_JSON_NUMBER ||
        dv_json_int(json, token, &value) != DV_OK || value < 1 || (uint64_t)value > max) {
        return wrong(error, "numbers are missing or out of range");
    }
    *ret_value = (uint64_t)value;
    return DV_OK;
}

static dv_result read_text(const dv_json *json, uint32_t rule, const char *name, dv_arena *arena,
                           dv_slice *ret_text, dv_error *error)
{
    uint32_t token = dv_json_member(json, rule, name);
    dv_slice text;
    if (token == 0 || json->tokens[token].type != DV_JSON_STRING) {
        return wrong(error, "name or action is missing");
    }
    DV_TRY(dv_json_string(json, token, arena, &text));
    return dv_arena_copy(arena, text, ret_text);
}

static dv_result read_action(const dv_json *json, uint32_t rule, dv_arena *arena,
                             dv_volume_action *ret_action, dv_error *error)
{
    dv_slice text;
    DV_TRY(read_text(json, rule, "action", arena, &text, error));
    for (size_t i = 0; i < DV_ARRAY_LEN(action_names); i++) {
        if (dv_slice_eq_str(text, action_names[i])) {
            *ret_action = (dv_volume_action)i;
            return DV_OK;
        }
    }
    return wrong(error, "action is not known");
}

static dv_result read_volume(const dv_json *json, uint32_t token, dv_arena *arena,
                             const dv_data_policy *policy, const dv_detector_set *enabled,
                             dv_data_volume *volume, dv_error *error)
{
    uint64_t per = 0;
    if (json->tokens[token].type != DV_JSON_OBJECT) {
        return wrong(error, "place holds no object");
    }
    DV_TRY(dv_data_scope_read(json, token, arena, policy, enabled, &volume->scope, error));
    DV_TRY(read_text(json, token, "name", arena, &volume->name, error));
    DV_TRY(read_action(json, token, arena, &volume->action, error));
    DV_TRY(read_number(json, token, "values", UINT32_MAX, &volume->values, error));
    DV_TRY(read_number(json, token, "per_ns", INT64_MAX, &per, error));
    volume->per = (dv_time)per;
    const dv_limit_rate rate = {volume->values, volume->per, volume->values};
    return volume->name.len == 0 || volume->name.len > DV_DATA_VOLUME_NAME
               ? wrong(error, "name is empty or too long")
               : dv_limit_rate_check(&rate, error);
}

/* What is counted is found, also where it may pass; what else takes part is not changed. */
static void count_also(dv_data_policy *policy, const dv_detector_set *detectors)
{
    for (size_t i = 0; i < dv_data_kind_end(policy); i++) {
        if (!dv_detector_set_has(detectors, i)) {
            continue;
        }
        if (!dv_detector_set_has(&policy->enabled, i)) {
            policy->actions[i] = DV_ACTION_ALLOW;
            dv_detector_set_add(&policy->enabled, i);
        }
        dv_detector_set_add(&policy->counted, i);
    }
}

dv_result dv_data_volumes_read(const dv_json *json, dv_data_policy *policy, dv_error *error)
{
    uint32_t list = dv_json_member(json, 0, "volumes");
    dv_arena *arena = NULL;
    size_t count = 0;
    if (list == 0) {
        return DV_OK;
    }
    if (json->tokens[list].type != DV_JSON_ARRAY) {
        return dv_error_set(error, DV_ERR_INVALID, "data policy: 'volumes' is no list");
    }
    DV_TRY(dv_data_policy_arena(policy, &arena));
    dv_data_volume *volumes = dv_arena_alloc(arena, DV_DATA_VOLUMES_MAX * sizeof(*volumes));
    if (volumes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    const dv_detector_set enabled = policy->enabled;
    for (uint32_t item = list + 1; item < json->tokens[list].next; item = json->tokens[item].next) {
        if (count == DV_DATA_VOLUMES_MAX) {
            return dv_error_set(error, DV_ERR_INVALID, "data policy: more than %d volumes",
                                DV_DATA_VOLUMES_MAX);
        }
        DV_TRY(read_volume(json, item, arena, policy, &enabled, &volumes[count], error));
        count_also(policy, &volumes[count].scope.detectors);
        count++;
    }
    policy->volumes = volumes;
    policy->volume_count = count;
    return DV_OK;
}

bool dv_data_volumes_block(const dv_data_policy *policy)
{
    bool blocks = false;
    for (size_t i = 0; i < policy->volume_count; i++) {
        blocks |= policy->volumes[i].action == DV_VOLUME_BLOCK;
    }
    return blocks;
}

/* ---- counters ---- */

enum {
    KEY_ROOM = sizeof("volume-told/") + DV_DATA_VOLUME_NAME + sizeof("/service/") +
               DV_MAX((int)DV_PRINCIPAL_ID_MAX, (int)DV_LIMIT_ADDRESS_KEY_MAX),
    FILL_TRIES = 3, /* others may take what is left meanwhile */
};
_Static_assert((int)KEY_ROOM <= (int)DV_LIMIT_KEY_MAX, "every key is one");

/* One body on its way. */
typedef struct charging {
    dv_counters *counters;
    const dv_data_policy *policy;
    const uint32_t *values;
    const dv_volume_caller *caller;
    dv_time now;
    dv_volume_tally *tally;
} charging;

typedef struct counter {
    dv_limit_charge charge;
    char key[KEY_ROOM];
} counter;

static bool add_part(counter *c, dv_slice part)
{
    if (part.len > sizeof(c->key) - c->charge.key.len) {
        return false;
    }
    if (part.len > 0) {
        memcpy(c->key + c->charge.key.len, part.ptr, part.len);
    }
    c->charge.key.len += part.len;
    return true;
}

static bool add_caller(counter *c, const dv_volume_caller *caller)
{
    char room[DV_LIMIT_ADDRESS_KEY_MAX];
    dv_slice address = {0};
    if (caller->principal != NULL) {
        bool service = caller->principal->type == DV_PRINCIPAL_SERVICE;
        c->charge.table = DV_COUNTERS_KEYS;
        return caller->principal->name.len > 0 &&
               add_part(c, service ? DV_LIT("/service/") : DV_LIT("/user/")) &&
               add_part(c, caller->principal->name);
    }
    c->charge.table = DV_COUNTERS_ADDRESSES;
    return dv_limit_address_key(caller->address, room, &address) == DV_OK &&
           add_part(c, DV_LIT("/")) && add_part(c, address);
}

/* Fills in the charge of a counter; false: it has no name. */
static bool name_counter(const charging *in, const dv_data_volume *volume, dv_slice prefix,
                         dv_limit_rate rate, counter *c)
{
    c->charge = (dv_limit_charge){.key = dv_slice_of(c->key, 0),
                                  .rate = rate,
                                  .cost = 1,
                                  .kind = DV_LIMIT_RATE,
                                  .unit = DV_LIMIT_REQUESTS}; /* here: values */
    return add_part(c, prefix) && add_part(c, volume->name) && add_caller(c, in->caller);
}

static bool name_volume(const charging *in, size_t rule, counter *c)
{
    const dv_data_volume *volume = &in->policy->volumes[rule];
    const dv_limit_rate rate = {volume->values, volume->per, volume->values};
    bool named = name_counter(in, volume, DV_LIT("volume/"), rate, c);
    c->charge.cost = in->values[rule] - in->tally->charged[rule];
    return named;
}

/* Once for each caller and time; when that can't be counted, now. */
static bool is_to_be_told(const charging *in, const dv_data_volume *volume)
{
    counter c;
    dv_limit_state state = {0};
    const dv_limit_rate rate = {1, volume->per, 1};
    return !name_counter(in, volume, DV_LIT("volume-told/"), rate, &c) ||
           dv_limit_charge_all(in->counters, &c.charge, 1, in->now, &state) != DV_OK ||
           state.full || state.admitted;
}

static void note_over(const charging *in, size_t rule, bool counted)
{
    const dv_data_volume *volume = &in->policy->volumes[rule];
    uint32_t bit = UINT32_C(1) << rule;
    in->tally->uncounted |= counted ? 0 : bit;
    if ((in->tally->over & bit) == 0 && volume->action != DV_VOLUME_MONITOR &&
        is_to_be_told(in, volume)) {
        in->tally->due |= bit;
    }
    in->tally->over |= bit;
}

/* ---- charging ---- */

static bool is_met(const charging *in, size_t rule)
{
    return in->values[rule] > in->tally->charged[rule] &&
           dv_data_scope_meets(&in->policy->volumes[rule].scope, in->caller->principal,
                               in->caller->route);
}

static bool refuse(const charging *in, size_t rule, bool counted, dv_time retry_after)
{
    note_over(in, rule, counted);
    in->tally->refused_by = (uint32_t)rule + 1;
    in->tally->retry_after = retry_after;
    return false;
}

/* The rules that block, all or none. */
static bool charge_blocking(const charging *in, uint32_t rules)
{
    counter counters[DV_DATA_VOLUMES_MAX];
    dv_limit_charge charges[DV_DATA_VOLUMES_MAX];
    size_t of[DV_DATA_VOLUMES_MAX];
    size_t count = 0;
    dv_limit_state state = {0};
    for (uint32_t left = rules; left != 0; left &= left - 1) {
        of[count] = (size_t)__builtin_ctz(left);
        if (!name_volume(in, of[count], &counters[count])) {
            return refuse(in, of[count], false, 0);
        }
        charges[count] = counters[count].charge;
        count++;
    }
    if (count == 0) {
        return true;
    }
    if (dv_limit_charge_all(in->counters, charges, count, in->now, &state) != DV_OK) {
        return refuse(in, of[0], false, 0);
    }
    if (!state.admitted) {
        return refuse(in, of[state.decided_by], !state.full, state.retry_after);
    }
    for (size_t i = 0; i < count; i++) {
        in->tally->charged[of[i]] = in->values[of[i]];
    }
    return true;
}

/* A rule that lets pass. What is too much for it fills it up. */
static void charge_passing(const charging *in, size_t rule)
{
    counter c;
    dv_limit_state state = {0};
    bool counted = name_volume(in, rule, &c);
    for (int tries = 0; counted && tries < FILL_TRIES; tries++) {
        counted = dv_limit_charge_all(in->counters, &c.charge, 1, in->now, &state) == DV_OK &&
                  !state.full;
        if (counted && tries == 0 && state.admitted) {
            in->tally->charged[rule] = in->values[rule];
            return;
        }
        if (state.admitted || state.remaining == 0) {
            break;
        }
        c.charge.cost = state.remaining;
    }
    in->tally->charged[rule] = in->values[rule];
    note_over(in, rule, counted);
}

bool dv_data_volumes_charge(dv_counters *counters, const dv_data_policy *policy,
                            const uint32_t values[DV_DATA_VOLUMES_MAX],
                            const dv_volume_caller *caller, dv_time now, dv_volume_tally *tally)
{
    const charging in = {counters, policy, values, caller, now, tally};
    uint32_t blocking = 0, passing = 0;
    for (size_t i = 0; i < policy->volume_count; i++) {
        if (is_met(&in, i)) {
            uint32_t *rules = policy->volumes[i].action == DV_VOLUME_BLOCK ? &blocking : &passing;
            *rules |= UINT32_C(1) << i;
        }
    }
    if (!charge_blocking(&in, blocking)) {
        return false;
    }
    for (; passing != 0; passing &= passing - 1) {
        charge_passing(&in, (size_t)__builtin_ctz(passing));
    }
    return true;
}

/* ---- telling ---- */

size_t dv_data_volumes_over(const dv_data_policy *policy,
                            const uint32_t values[DV_DATA_VOLUMES_MAX],
                            const dv_volume_tally *tally, dv_event_volume out[DV_EVENT_VOLUMES_MAX])
{
    size_t count = 0;
    for (uint32_t left = tally->over; left != 0; left &= left - 1) {
        size_t rule = (size_t)__builtin_ctz(left);
        const dv_data_volume *volume = &policy->volumes[rule];
        out[count++] = (dv_event_volume){.rule = volume->name,
                                         .action = action_names[volume->action],
                                         .values = values[rule],
                                         .limit = volume->values,
                                         .per = volume->per,
                                         .uncounted = (tally->uncounted >> rule & 1) != 0};
    }
    return count;
}

enum { SPAN_TEXT_MAX = 32 };

/* "90s", "35m", "2h": rounded up to the unit, so that waiting so long is enough. */
static void write_span(dv_time span, char out[SPAN_TEXT_MAX])
{
    static const struct {
        dv_time length;
        const char *name;
    } units[] = {{24 * 3600 * DV_SECOND, "d"}, {3600 * DV_SECOND, "h"}, {60 * DV_SECOND, "m"}};
    for (size_t i = 0; i < DV_ARRAY_LEN(units); i++) {
        if (span >= 2 * units[i].length || (span > 0 && span % units[i].length == 0)) {
            dv_time whole = span / units[i].length + (span % units[i].length != 0);
            (void)snprintf(out, SPAN_TEXT_MAX, "%lld%s", (long long)whole, units[i].name);
            return;
        }
    }
    (void)snprintf(out, SPAN_TEXT_MAX, "%llds", (long long)((span + DV_SECOND - 1) / DV_SECOND));
}

void dv_data_volumes_refusal(const dv_data_policy *policy, const dv_volume_tally *tally,
                             char out[DV_VERDICT_DETAIL_MAX])
{
    size_t rule = tally->refused_by - 1;
    const dv_data_volume *volume = &policy->volumes[rule];
    char per[SPAN_TEXT_MAX];
    char wait[SPAN_TEXT_MAX];
    if ((tally->uncounted >> rule & 1) != 0) {
        (void)snprintf(out, DV_VERDICT_DETAIL_MAX, "rule %.*s can not be counted now: try later",
                       DV_SLICE_ARGS(volume->name));
        return;
    }
    write_span(volume->per, per);
    write_span(tally->retry_after, wait);
    (void)snprintf(out, DV_VERDICT_DETAIL_MAX, "rule %.*s: %llu in %s; %s%s",
                   DV_SLICE_ARGS(volume->name), (unsigned long long)volume->values, per,
                   tally->retry_after == DV_TIME_NEVER ? "send fewer at once"
                                                       : "send fewer, or try again in ",
                   tally->retry_after == DV_TIME_NEVER ? "" : wait);
}

bool dv_data_volumes_due(const dv_data_policy *policy, const dv_volume_caller *caller,
                         dv_volume_tally *tally, char title[DV_VOLUME_TITLE_MAX])
{
    char per[SPAN_TEXT_MAX];
    if (tally->due == 0) {
        return false;
    }
    size_t rule = (size_t)__builtin_ctz(tally->due);
    const dv_data_volume *volume = &policy->volumes[rule];
    dv_slice who = caller->principal != NULL ? caller->principal->entity : caller->address;
    tally->due &= tally->due - 1;
    write_span(volume->per, per);
    if ((tally->uncounted >> rule & 1) != 0) {
        (void)snprintf(title, DV_VOLUME_TITLE_MAX, "values of %.*s can not be counted for %.*s",
                       DV_SLICE_ARGS(who), DV_SLICE_ARGS(volume->name));
        return true;
    }
    (void)snprintf(title, DV_VOLUME_TITLE_MAX, "%.*s passed %.*s: more than %llu values in %s%s",
                   DV_SLICE_ARGS(who), DV_SLICE_ARGS(volume->name),
                   (unsigned long long)volume->values, per,
                   volume->action == DV_VOLUME_BLOCK ? ", refused" : "");
    return true;
}
