/* SPDX-License-Identifier: Apache-2.0 */
/* The index against the plain reading of scopes: random policies over a random hierarchy, each
 * request answered by looking at every policy. */
#include "tests/unit/cedar/world.h"

#include "base/buf.h"

enum { KINDS = 3, ENTITIES = 8, POLICIES = 40, WORLDS = 150, REQUESTS = 30 };

static const char *const types[KINDS] = {"U", "Action", "R"};
static const char *const variables[KINDS] = {"principal", "action", "resource"};

typedef struct plain_scope {
    enum { ANY, EQUAL, IN, IN_LIST } kind;
    int is;           /* kind of type, or -1 */
    unsigned members; /* bits of entities */
} plain_scope;

typedef struct plain_world {
    unsigned above[KINDS][ENTITIES]; /* bits, transitive */
    plain_scope scopes[POLICIES][KINDS];
    bool forbid[POLICIES];
    char uids[KINDS][ENTITIES][64];
    dv_slice lists[KINDS][ENTITIES][ENTITIES];
    uint64_t seed;
} plain_world;

static unsigned pick(plain_world *p, unsigned below)
{
    p->seed = p->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(p->seed >> 33) % below;
}

/* An entity's ancestors are among those of its kind with smaller numbers. */
static void make_hierarchy(plain_world *p)
{
    for (int k = 0; k < KINDS; k++) {
        for (int i = 0; i < ENTITIES; i++) {
            snprintf(p->uids[k][i], sizeof(p->uids[k][i]), "%s::\"%0*d\"", types[k],
                     i % 3 == 0 ? 44 : 1, i); /* names that stand elsewhere than their place */
            p->above[k][i] = 0;
            for (int j = 0; j < i; j++) {
                if (pick(p, 4) == 0) {
                    p->above[k][i] |= 1u << j | p->above[k][j];
                }
            }
        }
    }
}

static void make_scope(plain_world *p, int k, plain_scope *scope)
{
    bool is_action = k == 1;

    scope->kind = pick(p, is_action ? 4 : 3);
    scope->is = !is_action && scope->kind != EQUAL && pick(p, 4) == 0 ? (int)pick(p, KINDS) : -1;
    scope->members = scope->kind == ANY       ? 0
                     : scope->kind == IN_LIST ? pick(p, 1u << ENTITIES)
                                              : 1u << pick(p, ENTITIES);
}

static void write_members(const plain_world *p, int k, const plain_scope *scope, dv_buf *text)
{
    bool first = true;

    for (int i = 0; i < ENTITIES; i++) {
        if ((scope->members >> i & 1) != 0) {
            assert_int_equal(dv_buf_append_printf(text, "%s%s", first ? "" : ", ", p->uids[k][i]),
                             DV_OK);
            first = false;
        }
    }
}

static void write_scope(const plain_world *p, int k, const plain_scope *scope, dv_buf *text)
{
    static const char *const words[] = {"", " == ", " in ", " in ["};

    assert_int_equal(dv_buf_append_str(text, variables[k]), DV_OK);
    if (scope->is >= 0) {
        assert_int_equal(dv_buf_append_printf(text, " is %s", types[scope->is]), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(text, words[scope->kind]), DV_OK);
    write_members(p, k, scope, text);
    assert_int_equal(dv_buf_append_str(text, scope->kind == IN_LIST ? "]" : ""), DV_OK);
    assert_int_equal(dv_buf_append_str(text, k < 2 ? ", " : ");\n"), DV_OK);
}

static void make_policies(plain_world *p, dv_buf *text)
{
    for (int i = 0; i < POLICIES; i++) {
        p->forbid[i] = pick(p, 6) == 0;
        assert_int_equal(dv_buf_append_str(text, p->forbid[i] ? "forbid(" : "permit("), DV_OK);
        for (int k = 0; k < KINDS; k++) {
            make_scope(p, k, &p->scopes[i][k]);
            write_scope(p, k, &p->scopes[i][k], text);
        }
    }
}

static bool plain_holds(const plain_world *p, int k, const plain_scope *scope, unsigned entity)
{
    unsigned reach = 1u << entity | (scope->kind == EQUAL ? 0 : p->above[k][entity]);

    return (scope->is < 0 || scope->is == k) &&
           (scope->kind == ANY || (scope->members & reach) != 0);
}

static bool plain_matches(const plain_world *p, int policy, const unsigned request[KINDS])
{
    for (int k = 0; k < KINDS; k++) {
        if (!plain_holds(p, k, &p->scopes[policy][k], request[k])) {
            return false;
        }
    }
    return true;
}

static bool lookup(void *data, dv_slice uid, dv_cedar_entity *ret_entity)
{
    plain_world *p = data;

    for (int k = 0; k < KINDS; k++) {
        for (int i = 0; i < ENTITIES; i++) {
            if (!dv_slice_eq_str(uid, p->uids[k][i])) {
                continue;
            }
            *ret_entity = (dv_cedar_entity){.uid = uid, .ancestors = p->lists[k][i]};
            for (int j = 0; j < ENTITIES; j++) {
                if ((p->above[k][i] >> j & 1) != 0) {
                    p->lists[k][i][ret_entity->ancestor_count++] = dv_slice_str(p->uids[k][j]);
                }
            }
            return true;
        }
    }
    return false;
}

/* The reasons are those of the effect that wins, in the order of the text. */
static void check_request(plain_world *p, const dv_cedar_policy_set *set, dv_arena *arena)
{
    unsigned request[KINDS] = {pick(p, ENTITIES), pick(p, ENTITIES), pick(p, ENTITIES)};
    dv_cedar_request question = {dv_slice_str(p->uids[0][request[0]]),
                                 dv_slice_str(p->uids[1][request[1]]),
                                 dv_slice_str(p->uids[2][request[2]]), NULL};
    dv_cedar_answer answer;
    size_t matched[2] = {0}, reason = 0;
    char id[32];

    assert_int_equal(dv_cedar_decide(set, &question, lookup, p, arena, &answer), DV_OK);
    for (int i = 0; i < POLICIES; i++) {
        matched[p->forbid[i]] += plain_matches(p, i, request);
    }
    bool forbidden = matched[1] > 0;
    assert_int_equal(answer.decision, !forbidden && matched[0] > 0 ? DV_ALLOW : DV_DENY);
    assert_int_equal(answer.reason_count, matched[forbidden]);
    for (int i = 0; i < POLICIES; i++) {
        if (p->forbid[i] == forbidden && plain_matches(p, i, request)) {
            snprintf(id, sizeof(id), "policy%d", i);
            assert_true(dv_slice_eq_str(answer.reasons[reason++], id));
        }
    }
}

static void index_finds_what_every_policy_says(void **unused)
{
    plain_world *p = calloc(1, sizeof(*p));
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);

    assert_true(p != NULL && arena != NULL);
    p->seed = 42;
    for (int i = 0; i < WORLDS; i++) {
        dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
        dv_buf_clear(&text);
        make_hierarchy(p);
        make_policies(p, &text);
        assert_int_equal(dv_cedar_parse(dv_buf_slice(&text), &set, NULL), DV_OK);
        for (int r = 0; r < REQUESTS; r++) {
            check_request(p, set, arena);
            dv_arena_reset(arena);
        }
    }
    free(p);
}

/* So many groups over user and resource that policies name each pair of: the look-ups alone would
 * hold a worker up, and count. */
enum { MANY = 500 };

static bool lookup_many(void *data, dv_slice uid, dv_cedar_entity *ret_entity)
{
    *ret_entity = (dv_cedar_entity){.uid = uid, .ancestors = data, .ancestor_count = MANY};
    return true;
}

static void look_ups_count_as_steps(void **unused)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(8 << 20);
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    dv_cedar_request request = {DV_LIT("U::\"u\""), DV_LIT("Action::\"a\""), DV_LIT("R::\"r\""),
                                NULL};
    dv_cedar_answer answer = {.decision = DV_ALLOW};
    static dv_slice groups[MANY];

    for (int i = 0; i < MANY; i++) {
        groups[i] = dv_slice_str(dv_arena_printf(arena, "G::\"%d\"", i));
        assert_int_equal(dv_buf_append_printf(&text,
                                              "permit(principal in G::\"%d\", action, resource in "
                                              "G::\"%d\");\n",
                                              i, (i + 1) % MANY),
                         DV_OK);
    }
    assert_int_equal(dv_cedar_parse(dv_buf_slice(&text), &set, NULL), DV_OK);
    assert_int_equal(dv_cedar_decide(set, &request, lookup_many, groups, arena, &answer),
                     DV_ERR_TOO_LARGE);
    assert_int_equal(answer.decision, DV_DENY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_finds_what_every_policy_says),
        cmocka_unit_test(look_ups_count_as_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
