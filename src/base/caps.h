/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Every cap that outside data meets, in one place. Bytes unless the name says otherwise. Each has
 * a test that goes one over it. */

enum {
    DV_LIMIT_NAME = 128,       /* of a user, group, role, route, model */
    DV_LIMIT_CONFIG = 1 << 20, /* dvara.yaml */
    DV_LIMIT_YAML_DEPTH = 32,  /* levels */
    DV_LIMIT_YAML_NODES = 100000,
    DV_LIMIT_BODY_DEFAULT = 10 << 20,   /* request body, unless the route says otherwise */
    DV_LIMIT_BODY_SECONDS = 60,         /* for a request body to come whole */
    DV_LIMIT_ANSWER_DEFAULT = 64 << 20, /* an answer that is inspected as a whole */
    DV_LIMIT_JSON_DEPTH = 64,           /* levels */
    DV_LIMIT_JSON_TOKENS = 1 << 20,
    DV_LIMIT_REQUEST_ARENA = 256 << 20,
    DV_LIMIT_RECORD = 60 << 10,        /* one log leaf */
    DV_LIMIT_ANCESTORS = 256,          /* groups and roles over one principal */
    DV_LIMIT_ROLE_PERMISSIONS = 1024,  /* names in one role */
    DV_LIMIT_CONTROL_BODY = 1 << 20,   /* a REST request of the control plane */
    DV_LIMIT_FINDINGS = 4096,          /* in one body; more blocks it */
    DV_LIMIT_CEDAR_TEXT = 16 << 20,    /* policies of one set */
    DV_LIMIT_CEDAR_MEMORY = 1 << 30,   /* a compiled set */
    DV_LIMIT_CEDAR_DEPTH = 128,        /* levels of an expression, and of a value */
    DV_LIMIT_CEDAR_STEPS = 200000,     /* of one decision */
    DV_LIMIT_CEDAR_UID = 4096,         /* an entity's canonical text */
    DV_LIMIT_CEDAR_ANNOTATIONS = 512,  /* of one policy or declaration */
    DV_LIMIT_CEDAR_JSON = 64 << 20,    /* policies of one set as JSON */
    DV_LIMIT_CEDAR_JSON_DEPTH = 16384, /* its containers in one another: && nests to the left */
    DV_LIMIT_CEDAR_JSON_TOKENS = 1 << 24,
    DV_LIMIT_CEDAR_LINKS = 100000,      /* policies made from templates, in one set */
    DV_LIMIT_CEDAR_ENTITIES = 64 << 20, /* entities as JSON */
    DV_LIMIT_CEDAR_SCHEMA = 4 << 20,    /* a schema as text */
    DV_LIMIT_CEDAR_FORM = 256 << 20,    /* a schema with its names looked up */
    DV_LIMIT_CEDAR_DECLARED = 4096,     /* entity types, common types, actions of a schema */
    DV_LIMIT_CEDAR_CHECKS = 1000000000, /* steps of validating one set */
    DV_LIMIT_CEDAR_PROBLEMS = 256,      /* that one validation names */
    DV_LIMIT_POLICY_CHECKS = 20000000,  /* steps of validating what a change of policies brings */
    DV_LIMIT_POLICY_KEPT = 5000000,     /* and what it leaves */
    DV_LIMIT_MODELS = 1024,             /* that dvara.yaml describes */
    DV_LIMIT_RESOURCE_WORDS = 64,       /* labels, or groups, of one model or route */
    DV_LIMIT_ENTITY_RECORD = 64 << 10,  /* attributes or tags of one registered entity, as JSON */
    DV_LIMIT_ENTITIES = 1000000,        /* registered in all */
    DV_LIMIT_EVALUATIONS = 500,         /* in one request */
    DV_LIMIT_CANDIDATES = 2000,         /* that one search decides over; the next page goes on */
    DV_LIMIT_LOOKUPS = 256,             /* entities that one decision asks the store for */
    DV_LIMIT_CASE_WORD = 32,            /* a name in a type of cases, with its NUL */
    DV_LIMIT_CASE_STATES = 16,          /* of one machine */
    DV_LIMIT_CASE_STEPS = 32,           /* of one machine */
    DV_LIMIT_CASE_CHOICES = 8,          /* of what happens at a deadline */
    DV_LIMIT_CASE_ITEMS = 5000,         /* of one case */
    DV_LIMIT_CASES_OPEN = 1000,         /* of one type */
    DV_LIMIT_CASE_TITLE = 256,          /* of a case */
    DV_LIMIT_CASE_REASON = 2048,        /* of one step */
    DV_LIMIT_CASE_DETAILS = 8192,       /* what a type adds to a case or item, as JSON */
    DV_LIMIT_DATA_RULES = 64,           /* of data_access: in dvara.yaml */
    DV_LIMIT_DATA_VAULTS = 16,          /* of data_vaults: in dvara.yaml */
    DV_LIMIT_DATA_VAULT = 128 << 20,    /* bytes of one of them: about a million values */
    DV_LIMIT_DATA_TOKENS = 1000,        /* turned back by one call */
    DV_LIMIT_DATA_TOLD = 4 << 20,       /* bytes of values that one call is told */
    DV_LIMIT_DATA_APPROVALS = 5,        /* that one grant for data wants */
    DV_LIMIT_DATA_GRANT_DAYS = 3650,    /* of one grant for data */
    DV_LIMIT_DATA_PENDING = 50,         /* requests for data of one caller that wait for answers */
    DV_LIMIT_DISPOSAL_PENDING = 20,     /* requests for a disposal of one caller that wait */
    DV_LIMIT_DISPOSAL_ITEMS = 10000,    /* of one of them */
    DV_LIMIT_DATA_UNASKED = 500,        /* living grants of one caller that nobody approved */
    DV_LIMIT_CHANGE_RECORDS = 64 << 20, /* of the audit log, that one change leaves */
    DV_LIMIT_STREAM_EVENT = 1 << 20,    /* one event of an answer's stream */
    DV_LIMIT_STREAM_MEMORY = 16 << 10,  /* what a stream keeps from one event to the next */
    DV_LIMIT_STREAM_CHANNELS = 128,     /* texts that a stream tells */
    DV_LIMIT_QUERY_TEXT = 4096,         /* a search */
    DV_LIMIT_QUERY_DEPTH = 32,          /* parentheses and nots within one another */
    DV_LIMIT_QUERY_TERMS = 128,         /* words, phrases and field:values of one search */
    DV_LIMIT_QUERY_STARS = 8,           /* in one value */
    DV_LIMIT_QUERY_MEASURES = 8,        /* count, sum(...), ... of one search */
    DV_LIMIT_QUERY_BY = 4,              /* fields that one search groups by */
    DV_LIMIT_QUERY_GROUPS = 100000,     /* of one aggregation; more count as "others" */
    DV_LIMIT_QUERY_MEMORY = 256 << 20,  /* of one aggregation */
    DV_LIMIT_COLLECT_LINE = 1 << 20,    /* of another program's log, that is held in memory */
    DV_LIMIT_COLLECT_TOKENS = 200000,   /* of JSON in such a line */
    DV_LIMIT_BLOB = 1 << 20,            /* one field of an event that lies beside its leaf */
};
