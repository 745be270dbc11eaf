#include "processes.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "process_list.h"
#include "reply.h"

static void answer(const struct listing *listing, struct send_queue *queue) {
    struct msg_processes message = {.token = listing->token, .error_number = listing->error};
    /* The child's memory may be in the hands of a program that is root, too: only sizes that are true are passed on. */
    if (listing->error == 0) {
        uint32_t size = listing->page->size;
        struct reader reader = {.bytes = listing->page->bytes, .size = size};
        if (size <= PROCESSES_BYTES_MAX - PROCESSES_HEAD_BYTES) message.processes = read_texts(&reader);
        message.total = listing->page->total;
    }
    reply_processes(queue, &message);
}

static bool share_page(struct listing *listing) {
    if (listing->page != NULL) return true;
    void *page = mmap(NULL, sizeof *listing->page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return false;
    listing->page = page;
    return true;
}

void processes_ask(struct listing *listing, struct send_queue *queue, uint32_t token, int proc_fd) {
    int error = EBUSY;
    if (listing->stage == LISTING_OFF) {
        listing->pid = share_page(listing) ? fork() : -1;
        error = errno;
        if (listing->pid == 0) process_list_make(listing->page, proc_fd);
        if (listing->pid > 0) {
            listing->stage = LISTING_BEGUN;
            listing->token = token;
            listing->error = 0;
            listing->deadline_ms = clock_monotonic_ms() + LISTING_WAIT_MS;
            return;
        }
    }
    reply_processes(queue, &(struct msg_processes){.token = token, .error_number = error});
}

bool processes_reaped(struct listing *listing, pid_t pid, int wait_status) {
    if (listing->stage != LISTING_BEGUN || listing->pid != pid) return false;
    listing->stage = LISTING_DUE;
    if (listing->error == 0) listing->error = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : EINTR;
    return true;
}

void processes_step(struct listing *listing, struct send_queue *queue) {
    if (listing->stage == LISTING_BEGUN && listing->error == 0 && clock_monotonic_ms() >= listing->deadline_ms) {
        listing->error = ETIMEDOUT;
        kill(listing->pid, SIGKILL);
    }
    if (listing->stage != LISTING_DUE || queue_room(queue) < FRAME_HEADER_BYTES + PROCESSES_BYTES_MAX) return;
    answer(listing, queue);
    listing->stage = LISTING_OFF;
}

int processes_timeout_ms(const struct listing *listing) {
    if (listing->stage != LISTING_BEGUN || listing->error != 0) return -1;
    uint64_t now_ms = clock_monotonic_ms();
    return listing->deadline_ms > now_ms ? (int)(listing->deadline_ms - now_ms) : 0;
}
