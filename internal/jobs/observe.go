package jobs

import "gorm.io/gorm"

// Observer is told of jobs as they change.
type Observer interface {
	// JobChanged is told of a job's new state, in the transaction that changes it. An error undoes the change.
	JobChanged(tx *gorm.DB, j *Job) error
	// JobProgressed is told how far a job has come, after a step is stored. It must not wait for anything.
	JobProgressed(j *Job)
}

// Tell makes the store tell another room of jobs. It is called once, where the rooms are joined and before the store is used.
func (s *Store) Tell(o Observer) { s.observer = o }

// changed tells that a job has got a state.
func (s *Store) changed(tx *gorm.DB, j Job, to State) error {
	if s.observer == nil {
		return nil
	}
	j.State = to
	return s.observer.JobChanged(tx, &j)
}

func (s *Store) progressed(j Job) {
	if s.observer != nil {
		s.observer.JobProgressed(&j)
	}
}
