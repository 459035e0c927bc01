// Package jobs runs long work (长任务) in small steps that survive a kill: a synchronisation of a million fans, an import, an export.
//
// A job is a row: what to do, how far it has come, and the result file as parts. A step does its work, moves the cursor and adds its lines to the result in
// one transaction, on the condition that the job is still running and still this worker's. So a step is done once or not at all, however often
// workers die, and a pause takes hold at the next step. The package owns the tables jobs and job_parts and may import clock, database and fault.
//
// Times are unix milliseconds; deadlines of workers are compared by their own clocks, as with leases.
package jobs
