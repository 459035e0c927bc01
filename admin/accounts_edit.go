package admin

import (
	"context"
	"net/http"

	"hongyan/accounts"
	"hongyan/internal/lang"
)

type (
	// callbackPatch is what is changed about pushes.
	callbackPatch struct {
		Mode           *accounts.Mode `json:"mode,omitempty" enum:"plain,compatible,safe"`
		Token          *string        `json:"token,omitempty" minLength:"3" maxLength:"32" writeOnly:"true"`
		AESKeys        []string       `json:"aes_keys,omitempty" maxItems:"2" writeOnly:"true" doc:"The new EncodingAESKey; the one in use stays accepted as the previous one. Two are both of them"`
		ForgetPrevious bool           `json:"forget_previous_key,omitempty" writeOnly:"true" doc:"Accept the previous key no more"`
	}
	updateAccountIn struct {
		Body struct {
			Name          *string              `json:"name,omitempty" minLength:"1" maxLength:"64"`
			OriginalID    *string              `json:"original_id,omitempty" minLength:"1" maxLength:"32" doc:"Not of an account that is connected by a scan: WeChat tells it"`
			Kind          *accounts.Kind       `json:"kind,omitempty" enum:"service,subscription" doc:"Not of an account that is connected by a scan"`
			Verified      *bool                `json:"verified,omitempty" doc:"Not of an account that is connected by a scan"`
			TimeZone      *string              `json:"time_zone,omitempty" minLength:"1" maxLength:"64" example:"Asia/Shanghai"`
			RatePerSecond *int                 `json:"rate_per_second,omitempty" minimum:"1" maximum:"5000"`
			InFlight      *int                 `json:"in_flight,omitempty" minimum:"2" maximum:"1000"`
			Secret        *string              `json:"secret,omitempty" minLength:"1" maxLength:"64" writeOnly:"true" doc:"AppSecret"`
			Callback      *callbackPatch       `json:"callback,omitempty"`
			Connection    *accounts.Connection `json:"connection,omitempty" enum:"manual,component" doc:"manual takes an account back from its component, with a secret and a callback in the same request"`
		}
	}
)

func (a *API) accountEditOps() {
	register(a, Op{
		ID: "update-account", Method: http.MethodPatch, Path: inAccount, Tag: tagAccounts, Scope: ScopeWrite, Edits: true,
		Summary: lang.Text{ZH: "修改公众号", EN: "Change an account; what is left out stays"},
		Details: "A new key is put in front of the one in use, whose pushes are accepted until forget_previous_key: change it here first, and then in WeChat's console. A new secret is used from the next access token on. " +
			"Going back to the manual connection forgets the component's tokens; fans, drips and policies stay, and so does a stop. Do that first: if the owner withdraws at WeChat before, the fans' data are erased. " +
			"Until the owner has withdrawn, WeChat sends pushes to the component, where they are refused.",
	}, a.updateAccount)
}

func (a *API) updateAccount(ctx context.Context, c *Call, in *updateAccountIn) (*accountOut, error) {
	b := &in.Body
	p := accounts.AccountPatch{
		Name: b.Name, OriginalID: b.OriginalID, Kind: b.Kind, Verified: b.Verified, Zone: b.TimeZone, RatePerSecond: b.RatePerSecond, InFlight: b.InFlight,
		Secret: b.Secret, Connection: b.Connection,
	}
	if k := b.Callback; k != nil {
		p.Callback = &accounts.CallbackPatch{Mode: k.Mode, Token: k.Token, AESKeys: k.AESKeys, ForgetPrevious: k.ForgetPrevious}
	}
	var changed *accounts.Account
	err := c.Edit(ctx, func(ctx context.Context, revision int64) (err error) {
		changed, err = a.o.Accounts.UpdateAccount(ctx, c.Account.ID, revision, p)
		return err
	}, func(ctx context.Context) (int64, error) {
		x, err := a.o.Accounts.ReadAccount(ctx, c.Account.ID)
		if err != nil {
			return 0, err
		}
		return x.Revision, nil
	})
	if err != nil {
		return nil, err
	}
	return a.accountAnswer(changed), nil
}
