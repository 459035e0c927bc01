package main

import (
	"context"
	"fmt"

	"hongyan/accounts"
	"hongyan/internal/config"
	"hongyan/internal/fault"
)

// secrets refuses to go on when something stored opens with none of the keys: each of its accounts would fail by itself, later and less clearly.
func (s *Server) secrets(ctx context.Context) error {
	found, err := accounts.Inspect(ctx, s.storage.db, s.storage.vault)
	if err != nil {
		return err
	}
	if err := found.Check(s.storage.vault); err != nil {
		return fmt.Errorf("%w; %s", err, whichKey(s.Config))
	}
	if found.Previous > 0 {
		s.Log.Warn("stored secrets still need the previous key; run `hongyan rotate-key`", "secrets", found.Previous, "key", s.storage.vault.Fingerprint())
	}
	return nil
}

// whichKey says where the key of stored secrets has to be put.
func whichKey(cfg config.Config) string {
	if cfg.Key() != nil {
		return "give the key that they were sealed with as HONGYAN_SECRET_KEY_PREVIOUS and run `hongyan rotate-key`, or as HONGYAN_SECRET_KEY again"
	}
	return fmt.Sprintf("put back the %s that belongs to this database, and %s if there was one, into %s; if a key was configured, set HONGYAN_SECRET_KEY again",
		keyFile, previousKeyFile, cfg.DataDir)
}

// rotateKeyCommand changes the key that stored secrets are sealed with. Where the key is configured, it seals again what HONGYAN_SECRET_KEY_PREVIOUS has
// sealed; on the embedded storage it makes the new key too.
func rotateKeyCommand(ctx context.Context, e env) error {
	return withStorage(ctx, e, func(cfg config.Config, st *storage) error {
		if err := (&Server{Config: cfg, storage: st}).schema(ctx); err != nil {
			return err
		}
		if cfg.Key() != nil {
			return rotate(ctx, e, cfg, st)
		}
		// Not with a key that does not fit the data: that would hide the one that is missing.
		found, err := accounts.Inspect(ctx, st.db, st.vault)
		if err != nil {
			return err
		}
		if err := found.Check(st.vault); err != nil {
			return fmt.Errorf("%w; %s", err, whichKey(cfg))
		}
		files := keyFiles{cfg.DataDir}
		begun, err := files.change()
		if err != nil {
			return err
		}
		if !begun {
			fmt.Fprintln(e.out, "a rotation was interrupted; going on with it")
		}
		if st.vault, err = files.vault(); err != nil {
			return err
		}
		return rotate(ctx, e, cfg, st)
	})
}

// rotate seals again and says what it has done and what is left to do.
func rotate(ctx context.Context, e env, cfg config.Config, st *storage) error {
	n, err := accounts.Rotation{DB: st.db, Vault: st.vault}.Run(ctx)
	fmt.Fprintf(e.out, "%d secrets sealed again, with key %s\n", n, st.vault.Fingerprint())
	if err != nil {
		return fmt.Errorf("%w; run `hongyan rotate-key` again to go on", err)
	}
	left, err := accounts.Inspect(ctx, st.db, st.vault)
	if err != nil {
		return err
	}
	if err := left.Check(st.vault); err != nil {
		return fmt.Errorf("%w; %s", err, whichKey(cfg))
	}
	if left.Previous > 0 {
		return fault.New(fault.Conflict, "%d secrets still need the previous key: a process that has not been restarted seals with it; "+
			"give all processes the new HONGYAN_SECRET_KEY, and run `hongyan rotate-key` again", left.Previous)
	}
	switch {
	case cfg.Key() == nil:
		if err := (keyFiles{cfg.DataDir}).forget(); err != nil {
			return err
		}
		fmt.Fprintln(e.out, "nothing needs the previous key any more; it has been removed. Backups made before need the key that lies in them")
	case cfg.PreviousKey() != nil:
		fmt.Fprintln(e.out, "nothing needs the previous key any more: unset HONGYAN_SECRET_KEY_PREVIOUS once every process runs with the new HONGYAN_SECRET_KEY, "+
			"and keep the old key as long as backups made before")
	default:
		fmt.Fprintln(e.out, "HONGYAN_SECRET_KEY_PREVIOUS is not set: there was no previous key to get rid of")
	}
	return nil
}
