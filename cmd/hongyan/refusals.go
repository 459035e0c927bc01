package main

import (
	"context"
	"errors"
	"log/slog"

	"hongyan/accounts"
	"hongyan/wechat/callback"
)

// errReceiver refuses pushes whose receiver is not the account that their address names.
var errReceiver = errors.New("it is addressed to another account")

// noteRefusal remembers why a push was refused, as far as that says something about the account's settings, for the account's next check.
func (s *Server) noteRefusal(ctx context.Context, whose slog.Attr, err error) {
	why, ok := refusalOf(err)
	if !ok || whose.Key != "account" {
		return
	}
	if err := s.Scheduler.Checks.Refused(ctx, whose.Value.Int64(), why); err != nil {
		s.Log.Error("a refused push is not noted", whose, slog.Any("error", err))
	}
}

// refusalOf names the setting that a refusal casts doubt on. What is malformed or too large says nothing about settings.
func refusalOf(err error) (accounts.PushRefusal, bool) {
	for _, r := range []struct {
		err error
		why accounts.PushRefusal
	}{
		{callback.ErrSignature, accounts.RefusedSignature}, {callback.ErrMode, accounts.RefusedMode}, {callback.ErrCipher, accounts.RefusedCipher},
		{callback.ErrKey, accounts.RefusedCipher}, {callback.ErrAppID, accounts.RefusedAppID}, {callback.ErrStale, accounts.RefusedStale},
		{errReceiver, accounts.RefusedReceiver},
	} {
		if errors.Is(err, r.err) {
			return r.why, true
		}
	}
	return "", false
}
