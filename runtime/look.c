/* Looking at the tensors of a step, and counting it: see look.py. Stands behind tensors.c. */
enum { AHEAD = 8, FURTHER = 16 };       /* tensors to look ahead */
enum { BLOCK = 512 };                   /* tensors that a thread takes at once */
enum { OTHER, SAME, ALONE };            /* what there is; ALONE: and nobody else holds any state */
enum { MOVED = 4 };                     /* added if a gradient lies elsewhere */

typedef struct {
    Place place;
    int64_t form;
    const char *autograd, *counter;     /* where to look soon */
    int64_t grad;                       /* its place among all gradients; -1: there is none */
    int64_t grad_form;
    int64_t grad_mask;                  /* bits that its address must not have */
} Param;

/* What a state holds under a key: a tensor of a form, at the next of its places; or the very object
   in a slot (form -1). */
typedef struct {
    Object key;
    int64_t form, slot;
} Item;

typedef struct {
    Object param;
    int64_t next;                       /* what brings PyDict_Next to it */
    int64_t item, count;                /* its items, which others may have too (count -1: any) */
    int64_t place, cohort;
    const char *dict, *table;           /* where to look soon */
} Entry;

typedef struct {
    Object key;
    int64_t slot;
} Number;

typedef struct {
    int64_t groups, count, states;
    const int64_t *lengths;             /* of each group's list */
    const Object *objects;              /* that they hold */
    const Param *params;
    const char **grads;                 /* written: implementations */
    int64_t *grad_at;                   /* written: addresses */
    const Entry *entries;
    const Item *items;
    const Place *places;                /* of tensors in states */
    const Object *slots;
    const int64_t *first_number;        /* by cohort */
    const Number *numbers;              /* that its states hold */
    const Form *forms;
} Seen;

/* What brings PyDict_Next to every state. */
void stepc_walk(const Calls *call, Object states, int64_t *nexts)
{
    intptr_t next = 0;
    Object param, state;
    do *nexts++ = next; while (call->dict_next(states, &next, &param, &state));
}

static void expect_state(const Entry *entry)
{
    __builtin_prefetch(entry->dict);
    expect(entry->table, 2 * LINE);
}

static int same_lists(const Calls *call, const Seen *seen, Object groups)
{
    const Object *object = seen->objects;
    for (int64_t group = 0; group < seen->groups; group++) {
        Object list = call->list_item(groups, group);
        if (call->list_size(list) != seen->lengths[group]) return 0;
        for (int64_t i = 0; i < seen->lengths[group]; i++)
            if (call->list_item(list, i) != *object++) return 0;
    }
    return 1;
}

/* Notes where a gradient lies, and whether it moved. */
static int same_grad(const Calls *call, const Seen *seen, const Param *param, const char *grad,
                     int64_t *moved)
{
    if (param->grad < 0) return grad == call->no_tensor;
    const Form *form = seen->forms + param->grad_form;
    if (grad == call->no_tensor || !is_shaped(call, grad, form)) return 0;
    const int64_t at = address(call, grad, form);
    *moved |= at ^ seen->grad_at[param->grad];
    seen->grad_at[param->grad] = at;
    return !(at & param->grad_mask);
}

/* Some parameters, and their gradients: those lie anywhere in memory, so they are looked at some
   tensors later. Autograd is told here that parameters change, while they are in the cache: once
   too often if the step is decided anew then, which makes no difference. */
static int same_params(const Calls *call, const Seen *seen, int64_t begin, int64_t end,
                       int64_t *moved)
{
    for (int64_t k = begin; k < end + FURTHER; k++) {
        const int64_t next = k - FURTHER + AHEAD, now = k - FURTHER;
        if (k < end) {
            const Param *param = seen->params + k, *soon = param + FURTHER;
            const Object tensor = param->place.object;
            expect_place(call, &soon->place);
            __builtin_prefetch(soon->autograd);
            __builtin_prefetch(soon->counter);
            if (!is_there(call, tensor, seen->forms + param->form, &param->place)) return OTHER;
            seen->grads[k] = *call->grad(pointer(tensor, call->object));
            expect_head(call, seen->grads[k]);
        }
        if (next >= begin && next < end)
            expect_data(call, pointer(seen->grads[next], call->storage));
        if (now < begin) continue;
        const Param *param = seen->params + now;
        if (!same_grad(call, seen, param, seen->grads[now], moved)) return OTHER;
        if (param->grad >= 0) call->bump(param->place.object + call->object);
    }
    return ALONE;
}

static int same_state(const Calls *call, const Seen *seen, const Entry *entry, Object state,
                      int found)
{
    if (entry->count < 0) return found;
    if (pointer(state, call->type) != call->dict) return OTHER;
    if (call->dict_size(state) != entry->count) return OTHER;
    if (number(state, 0) != call->alone[0]) found = SAME;
    const Item *item = seen->items + entry->item;
    const Place *place = seen->places + entry->place;
    intptr_t next = 0;
    for (Object key, value; call->dict_next(state, &next, &key, &value); item++) {
        if (key != item->key) return OTHER;
        if (item->form < 0) {
            if (value != seen->slots[item->slot]) return OTHER;
            continue;
        }
        expect_place(call, place + FURTHER);
        if (!is_there(call, value, seen->forms + item->form, place++)) return OTHER;
        if (found == ALONE && !is_alone(call, value)) found = SAME;
    }
    return found;
}

static int same_states(const Calls *call, const Seen *seen, Object states, int64_t begin,
                       int64_t end)
{
    int found = ALONE;
    for (const Entry *entry = seen->entries + begin; found && entry < seen->entries + end; entry++) {
        expect_state(entry + AHEAD);
        intptr_t next = entry->next;
        Object param, state;
        if (!call->dict_next(states, &next, &param, &state) || param != entry->param) return OTHER;
        found = same_state(call, seen, entry, state, found);
    }
    return found;
}

/* Whether parameters, gradients and states are as they were, but for where gradients lie; not of
   states if there are none. Nothing is written that Python sees, nor any reference counted (autograd
   counts with atomic numbers), so threads may share the work. */
int64_t stepc_look(const Calls *call, const Seen *seen, Object states, Object groups,
                   int64_t threads)
{
    if (!same_lists(call, seen, groups)) return OTHER;
    if (states && call->dict_size(states) != seen->states) return OTHER;
    const int64_t entries = states ? seen->states : 0;
    const int64_t blocks = (seen->count + BLOCK - 1) / BLOCK;
    const int64_t all = blocks + (entries + BLOCK - 1) / BLOCK;
    int found = ALONE;
    int64_t moved = 0;
    #pragma omp parallel for num_threads(threads) schedule(dynamic) \
        reduction(min: found) reduction(|: moved) if (threads > 1)
    for (int64_t block = 0; block < all; block++) {
        const int is_state = block >= blocks;
        const int64_t begin = (is_state ? block - blocks : block) * BLOCK;
        const int64_t count = is_state ? entries : seen->count;
        const int64_t end = begin + BLOCK < count ? begin + BLOCK : count;
        const int here = is_state ? same_states(call, seen, states, begin, end)
                                  : same_params(call, seen, begin, end, &moved);
        found = here < found ? here : found;
    }
    return found + (moved ? MOVED : 0);
}

/* Whether nobody else holds one of these dicts, nor a tensor in it. */
int64_t stepc_alone(const Calls *call, Object states)
{
    intptr_t next = 0;
    for (Object param, state; call->dict_next(states, &next, &param, &state);) {
        if (number(state, 0) != call->alone[0]) return 0;
        intptr_t inner = 0;
        for (Object key, value; call->dict_next(state, &inner, &key, &value);)
            if (!is_alone(call, value)) return 0;
    }
    return 1;
}

/* Let every state hold what the slots of its cohort do. Python's error if it returns 0. */
int64_t stepc_count(const Calls *call, const Seen *seen, Object states)
{
    const Entry *entry = seen->entries, *end = entry + seen->states;
    intptr_t next = 0;
    for (Object param, state; entry < end && call->dict_next(states, &next, &param, &state);
         entry++) {
        expect_state(entry + AHEAD);
        if (entry->count < 0) continue;
        const int64_t *first = seen->first_number + entry->cohort;
        for (const Number *it = seen->numbers + first[0]; it < seen->numbers + first[1]; it++)
            if (call->dict_set(state, it->key, seen->slots[it->slot])) return 0;
    }
    return 1;
}
