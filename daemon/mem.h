/*
 * The memory of users' statements, counted connection by connection. SQLite's own limit (hard_heap_limit)
 * is the process's: a hostile query would take the writer's memory, and counting would cost every
 * allocation a lock. Here an allocation is counted only while a user's statement runs on the thread, and
 * one too many fails in that statement alone.
 */
#ifndef XT_MEM_H
#define XT_MEM_H

#include <stdbool.h>

#define MEM_ONE	  (64 << 20)  /* bytes that a connection may have */
#define MEM_ALL	  (160 << 20) /* that all may have together; beyond it … */
#define MEM_SMALL (4 << 20)   /* … a connection may still have so much: small queries go on */

/* Makes SQLite allocate here. Before any other call of SQLite. */
void mem_init(void);

/* An account for a connection; 0: there is none left, and nothing is counted. */
unsigned mem_open(void);
void mem_close(unsigned account);

/* What SQLite allocates on this thread is counted in the account, until mem_leave(). What is freed leaves the
 * account that it was counted in, on any thread. */
void mem_enter(unsigned account);
void mem_leave(void);

/* Whether one was refused since mem_enter(). */
bool mem_refused(void);

/* After a statement has ended: when it had much, what malloc() keeps of it goes back to the system. */
void mem_tidy(unsigned account);

#endif
