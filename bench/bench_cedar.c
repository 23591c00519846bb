/* SPDX-License-Identifier: Apache-2.0 */
/* What a decision costs by the number of policies, among 100,000 entities: the median and the 99th
 * percentile of single decisions.
 *
 * What changes is the number of policies, and nothing else: every user has a group and four roles
 * (five ancestors) and an attribute, every request is permitted by exactly one policy, and each
 * request is another user's. Two kinds of policies: "roles" permit three actions to a role;
 * "models" permit one action on one model, of a type of resources, under a condition on user and
 * context.
 *
 * bench_cedar FOLDER writes the policies and the first requests there instead, for bench/cedar.py
 * to put them to others. */
#include "engine/cedar/cedar.h"

#include "bench.h"

#include "base/buf.h"
#include "base/clock.h"

enum {
    ENTITIES = 100000,
    ROLES_OF_A_USER = 4,
    MODELS = 10,
    DECISIONS = 20000, /* of a round */
    ROUNDS = 3,
    WRITTEN = 400, /* requests for others */
};

static const unsigned COUNTS[] = {10, 100, 1000, 10000};

enum { WORLDS = DV_ARRAY_LEN(COUNTS) };

typedef struct user {
    dv_slice uid;
    dv_slice ancestors[ROLES_OF_A_USER + 1];
} user;

/* Policies and entities; User::"u<n>" is found as in any table in memory. */
typedef struct world {
    unsigned policies;
    bool models;
    dv_cedar_policy_set *set;
    dv_arena *arena;
    user *users;
    uint32_t *table; /* by a hash of the uid: number + 1 */
    dv_cedar_value attributes;
    dv_time *times;
    size_t time_count;
} world;

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
    const world *w = data;

    for (uint32_t i = hash_of(uid);; i++) {
        uint32_t number = w->table[i & TABLE_MASK];
        if (number == 0) {
            return false;
        }
        const user *u = &w->users[number - 1];
        if (dv_slice_eq(u->uid, uid)) {
            *ret_entity = (dv_cedar_entity){.uid = u->uid,
                                            .ancestors = u->ancestors,
                                            .ancestor_count = DV_ARRAY_LEN(u->ancestors),
                                            .attributes = &w->attributes};
            return true;
        }
    }
}

/* The four differ by their last digit, and so do the actions and models that they permit: one role
 * alone permits a request. */
static unsigned role_of(const world *w, unsigned number, unsigned role)
{
    return (number * 7919 + role * 104729) % w->policies;
}

static void populate(world *w)
{
    static dv_cedar_attr mfa[] = {{DV_LIT("mfa"), {.type = DV_CEDAR_BOOL, .boolean = true}}};

    bench_must("cedar", dv_cedar_record(mfa, 1, &w->attributes));
    w->users = dv_arena_alloc(w->arena, ENTITIES * sizeof(*w->users));
    w->table = dv_arena_alloc(w->arena, (TABLE_MASK + 1) * sizeof(*w->table));
    for (uint32_t i = 0; i < ENTITIES; i++) {
        user *u = &w->users[i];
        uint32_t at;
        u->uid = dv_slice_str(dv_arena_printf(w->arena, "User::\"u%u\"", i));
        u->ancestors[0] = dv_slice_str(dv_arena_printf(w->arena, "Group::\"g%u\"", i % 100));
        for (unsigned r = 1; r <= ROLES_OF_A_USER; r++) {
            u->ancestors[r] =
                dv_slice_str(dv_arena_printf(w->arena, "Role::\"r%u\"", role_of(w, i, r)));
        }
        for (at = hash_of(u->uid); w->table[at & TABLE_MASK] != 0; at++) {
        }
        w->table[at & TABLE_MASK] = i + 1;
    }
}

static dv_result write_policy(const world *w, unsigned i, dv_buf *text)
{
    unsigned a = i % MODELS * 3;

    if (w->models) {
        return dv_buf_append_printf(
            text,
            "permit(principal in Role::\"r%u\", action == Action::\"use_model\", resource is Model "
            "in Model::\"m%u\") when { principal.mfa && context.tokens < 4096 };\n",
            i, i % MODELS);
    }
    return dv_buf_append_printf(text,
                                "permit(principal in Role::\"r%u\", action in [Action::\"a%u\", "
                                "Action::\"a%u\", Action::\"a%u\"], resource);\n",
                                i, a, a + 1, a + 2);
}

static void write_policies(const world *w, dv_buf *text)
{
    for (unsigned i = 0; i < w->policies; i++) {
        bench_must("cedar", write_policy(w, i, text));
    }
}

static void begin(world *w, unsigned policies, bool models)
{
    dv_auto(buf) dv_buf text = dv_buf_init(16 << 20);
    dv_error error = {0};

    *w = (world){.policies = policies,
                 .models = models,
                 .arena = dv_arena_new((size_t)1 << 30),
                 .times = malloc(sizeof(dv_time) * DECISIONS * ROUNDS)};
    write_policies(w, &text);
    bench_must("cedar", dv_cedar_parse(dv_buf_slice(&text), &w->set, &error));
    populate(w);
}

static void end(world *w)
{
    free(w->times);
    dv_cedar_policy_set_free(w->set);
    dv_arena_free(w->arena);
}

/* The i-th request: what the first role of another user permits. */
typedef struct question {
    unsigned user;
    char action[32];
    char model[32];
} question;

enum { TOKENS = 1024 };

static question ask(const world *w, unsigned i)
{
    question q = {.user = i * 7919u % ENTITIES};
    unsigned of = role_of(w, q.user, 1) % MODELS;

    snprintf(q.action, sizeof(q.action), w->models ? "use_model" : "a%u", of * 3 + i % 3);
    snprintf(q.model, sizeof(q.model), "m%u", of);
    return q;
}

static void decide(world *w, unsigned i, dv_arena *arena)
{
    static dv_cedar_attr tokens[] = {{DV_LIT("tokens"), {.type = DV_CEDAR_LONG, .number = TOKENS}}};
    question q = ask(w, i);
    dv_cedar_value context;
    dv_cedar_answer answer;
    char action[64], model[64];

    bench_must("cedar", dv_cedar_record(tokens, 1, &context));
    snprintf(action, sizeof(action), "Action::\"%s\"", q.action);
    snprintf(model, sizeof(model), "Model::\"%s\"", q.model);
    dv_cedar_request request = {w->users[q.user].uid, dv_slice_str(action), dv_slice_str(model),
                                &context};
    dv_time started = dv_time_monotonic();
    dv_result result = dv_cedar_decide(w->set, &request, lookup, w, arena, &answer);
    dv_time took = dv_time_monotonic() - started;
    bench_must("cedar", result);
    if (answer.decision != DV_ALLOW || answer.reason_count != 1) {
        fprintf(stderr, "cedar: %zu policies permitted a request\n", answer.reason_count);
        exit(1);
    }
    w->times[w->time_count++] = took;
    dv_arena_recycle(arena);
}

static int order_times(const void *a, const void *b)
{
    dv_time x = *(const dv_time *)a, y = *(const dv_time *)b;

    return x < y ? -1 : x > y;
}

static double percentile(const world *w, unsigned percent)
{
    return (double)w->times[w->time_count * percent / 100] / 1000;
}

static void show(world *w, double fewest)
{
    char name[64];

    snprintf(name, sizeof(name), "cedar.%s_%u_policies", w->models ? "models" : "roles",
             w->policies);
    bench_row(name, percentile(w, 50), "us", percentile(w, 50) / fewest);
    snprintf(name, sizeof(name), "cedar.%s_%u_policies_p99", w->models ? "models" : "roles",
             w->policies);
    bench_row(name, percentile(w, 99), "us", 0);
}

/* The sizes take turns, so that what else the machine does touches all of them. The ratio is that
 * to the fewest policies. */
static void run(bool models)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    world worlds[WORLDS];

    for (size_t i = 0; i < WORLDS; i++) {
        begin(&worlds[i], COUNTS[i], models);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < WORLDS; i++) {
            for (unsigned n = 0; n < DECISIONS; n++) {
                decide(&worlds[i], n, arena);
            }
        }
    }
    for (size_t i = 0; i < WORLDS; i++) {
        qsort(worlds[i].times, worlds[i].time_count, sizeof(dv_time), order_times);
        show(&worlds[i], percentile(&worlds[0], 50));
    }
    for (size_t i = 0; i < WORLDS; i++) {
        end(&worlds[i]);
    }
}

static FILE *open_file(const char *folder, const world *w, const char *end)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s_%u.%s", folder, w->models ? "models" : "roles", w->policies,
             end);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    return file;
}

/* As cedar-wasm takes it, with the user alone as entities. */
static void write_request(const world *w, unsigned i, FILE *file)
{
    question q = ask(w, i);

    fprintf(file,
            "{\"principal\": {\"type\": \"User\", \"id\": \"u%u\"}, \"action\": {\"type\": "
            "\"Action\", \"id\": \"%s\"}, \"resource\": {\"type\": \"Model\", \"id\": \"%s\"}, "
            "\"context\": {\"tokens\": %d}, \"entities\": [{\"uid\": {\"type\": \"User\", \"id\": "
            "\"u%u\"}, \"attrs\": {\"mfa\": true}, \"parents\": [{\"type\": \"Group\", \"id\": "
            "\"g%u\"}",
            q.user, q.action, q.model, TOKENS, q.user, q.user % 100);
    for (unsigned r = 1; r <= ROLES_OF_A_USER; r++) {
        fprintf(file, ", {\"type\": \"Role\", \"id\": \"r%u\"}", role_of(w, q.user, r));
    }
    fprintf(file, "]}]}\n");
}

static void write_world(const char *folder, unsigned policies, bool models)
{
    dv_auto(buf) dv_buf text = dv_buf_init(16 << 20);
    const world w = {.policies = policies, .models = models};
    FILE *file = open_file(folder, &w, "cedar");

    write_policies(&w, &text);
    fwrite(text.ptr, 1, text.len, file);
    fclose(file);
    file = open_file(folder, &w, "jsonl");
    for (unsigned i = 0; i < WRITTEN; i++) {
        write_request(&w, i, file);
    }
    fclose(file);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < WORLDS; i++) {
        write_world(argv[1], COUNTS[i], false);
        write_world(argv[1], COUNTS[i], true);
    }
    if (argc == 1) {
        run(false);
        run(true);
    }
    return 0;
}
