/* SPDX-License-Identifier: Apache-2.0 */
/* What a decision costs: prints the median and the 99th percentile of single decisions, by the
 * number of role policies, among 100,000 entities. */
#include "engine/cedar/cedar.h"

#include "base/buf.h"
#include "base/clock.h"

enum { ENTITIES = 100000, ACTIONS = 20, DECISIONS = 20000, ROLES_OF_A_USER = 4 };

/* User::"u<n>" with roles and a group, made when asked for: the cost of a table in memory. */
typedef struct user {
    dv_slice uid;
    dv_slice ancestors[ROLES_OF_A_USER + 1];
} user;

typedef struct population {
    dv_arena *arena;
    user *users;
    uint32_t *table; /* by a hash of the uid: number + 1 */
} population;

enum { TABLE_MASK = (1 << 18) - 1 };

static uint32_t hash_of(dv_slice uid)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < uid.len; i++) {
        hash = (hash ^ uid.ptr[i]) * 16777619u;
    }
    return hash;
}

static bool lookup(void *data, dv_slice uid, dv_cedar_entity *ret_entity)
{
    const population *p = data;

    for (uint32_t i = hash_of(uid);; i++) {
        uint32_t number = p->table[i & TABLE_MASK];
        if (number == 0) {
            return false;
        }
        const user *u = &p->users[number - 1];
        if (dv_slice_eq(u->uid, uid)) {
            *ret_entity = (dv_cedar_entity){u->uid, u->ancestors, DV_ARRAY_LEN(u->ancestors)};
            return true;
        }
    }
}

static void populate(population *p, unsigned roles)
{
    p->users = dv_arena_alloc(p->arena, ENTITIES * sizeof(*p->users));
    p->table = dv_arena_alloc(p->arena, (TABLE_MASK + 1) * sizeof(*p->table));
    for (uint32_t i = 0; i < ENTITIES; i++) {
        user *u = &p->users[i];
        uint32_t at;
        u->uid = dv_slice_str(dv_arena_printf(p->arena, "User::\"u%u\"", i));
        u->ancestors[0] = dv_slice_str(dv_arena_printf(p->arena, "Group::\"g%u\"", i % 100));
        for (unsigned r = 1; r <= ROLES_OF_A_USER; r++) {
            u->ancestors[r] = dv_slice_str(
                dv_arena_printf(p->arena, "Role::\"r%u\"", (i * 7919 + r * 104729) % roles));
        }
        for (at = hash_of(u->uid); p->table[at & TABLE_MASK] != 0; at++) {
        }
        p->table[at & TABLE_MASK] = i + 1;
    }
}

/* Each role permits three actions. */
static dv_cedar_policy_set *make_policies(unsigned count)
{
    dv_auto(buf) dv_buf text = dv_buf_init(16 << 20);
    dv_cedar_policy_set *set = NULL;
    dv_error error = {0};

    for (unsigned i = 0; i < count; i++) {
        if (dv_buf_append_printf(&text,
                                 "permit(principal in Role::\"r%u\", action in [Action::\"a%u\", "
                                 "Action::\"a%u\", Action::\"a%u\"], resource);\n",
                                 i, i % ACTIONS, (i + 1) % ACTIONS, (i + 2) % ACTIONS) != DV_OK) {
            exit(1);
        }
    }
    if (dv_cedar_parse(dv_buf_slice(&text), &set, &error) != DV_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    return set;
}

static int order_times(const void *a, const void *b)
{
    dv_time x = *(const dv_time *)a, y = *(const dv_time *)b;

    return x < y ? -1 : x > y;
}

static void run(unsigned policies)
{
    static dv_time times[DECISIONS];
    population p = {.arena = dv_arena_new((size_t)1 << 30)};
    dv_cedar_policy_set *set = make_policies(policies);
    dv_arena *arena = dv_arena_new(1 << 20);
    char action[32];
    unsigned allowed = 0;

    populate(&p, policies);
    for (unsigned i = 0; i < DECISIONS; i++) {
        snprintf(action, sizeof(action), "Action::\"a%u\"", i % ACTIONS);
        dv_cedar_request request = {p.users[i * 7919u % ENTITIES].uid, dv_slice_str(action),
                                    DV_LIT("Model::\"gpt-4o\""), NULL};
        dv_cedar_answer answer;
        dv_time started = dv_time_monotonic();
        if (dv_cedar_decide(set, &request, lookup, &p, arena, &answer) != DV_OK) {
            exit(1);
        }
        dv_arena_reset(arena);
        times[i] = dv_time_monotonic() - started;
        allowed += answer.decision == DV_ALLOW;
    }
    qsort(times, DECISIONS, sizeof(times[0]), order_times);
    printf("{\"name\": \"cedar.decide_%u_policies\", \"value\": %.2f, \"unit\": \"us\", "
           "\"p99\": %.2f, \"allowed\": %u}\n",
           policies, (double)times[DECISIONS / 2] / 1000,
           (double)times[DECISIONS * 99 / 100] / 1000, allowed);
    dv_cedar_policy_set_free(set);
    dv_arena_free(arena);
    dv_arena_free(p.arena);
}

int main(void)
{
    static const unsigned counts[] = {10, 100, 1000, 10000};

    for (size_t i = 0; i < DV_ARRAY_LEN(counts); i++) {
        run(counts[i]);
    }
    return 0;
}
