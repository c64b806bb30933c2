package fsm

// RenameCluster makes the state that of another cluster, outside the log. It is
// for a recovery, on a node that does not run: the others get the name with the
// snapshot that follows.
func (f *FSM) RenameCluster(id string) error {
	f.applying.Lock()
	defer f.applying.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	batch, err := f.db.NewBatch()
	if err != nil {
		return err
	}
	defer batch.Close()
	if err := batch.RenameCluster(id); err != nil {
		return err
	}
	return batch.Commit()
}
