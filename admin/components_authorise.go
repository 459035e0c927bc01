package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"hongyan/accounts"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/wechat"
)

type (
	authorisationLinkIn struct {
		Component int64 `path:"component"`
		Body      struct {
			Page  string `json:"page" enum:"scan,phone" doc:"scan: for a computer's screen, with a code to be scanned by the account's administrator; phone: to be opened in WeChat"`
			AppID string `json:"appid,omitempty" maxLength:"32" doc:"The only account that may be chosen; any without it"`
		}
	}
	authorisationLinkOut struct {
		Body struct {
			Address   string `json:"address" doc:"Can be used once"`
			ExpiresAt int64  `json:"expires_at"`
		}
	}
)

func (a *API) authorisationOps() {
	register(a, Op{
		ID: "create-authorisation-link", Method: http.MethodPost, Path: inComponent + "/authorisation-links", Tag: tagComponents, Scope: ScopeWrite,
		Status:  http.StatusCreated,
		Summary: lang.Text{ZH: "发起扫码接入", EN: "Make the address at which an account's owner authorises the component"},
		Details: "Open it by a link on a page of the component's domain: WeChat refuses browsers that come from elsewhere. " +
			"An official account is connected by it, or moved from its own secret to the component; what members have set stays.",
	}, a.createAuthorisationLink)
}

func (a *API) createAuthorisationLink(ctx context.Context, _ *Call, in *authorisationLinkIn) (*authorisationLinkOut, error) {
	x, err := a.o.Accounts.FindComponent(ctx, in.Component)
	if err != nil {
		return nil, err
	}
	at := a.componentURLs(x)
	if at.Authorised == "" || a.o.Authoriser == nil {
		return nil, fault.New(fault.Conflict,
			"this server does not know by which address it is reached, to which the owner's browser has to come back; set HONGYAN_PUBLIC_URL and start it anew")
	}
	address, until, err := a.o.Authoriser.Address(ctx, x.ID, accounts.Page{Redirect: at.Authorised, Phone: in.Body.Page == "phone", AccountAppID: in.Body.AppID})
	if _, missing := errors.AsType[*wechat.TicketError](err); missing {
		return nil, fault.Wrap(fault.Conflict, err,
			"the component has no verify ticket that is good; enter %s as its authorisation event URL in the open platform's console, with the same Token and key as here, and wait for the push that comes every ten minutes",
			at.Events)
	}
	if err != nil {
		return nil, err
	}
	out := &authorisationLinkOut{}
	out.Body.Address, out.Body.ExpiresAt = address, until.UnixMilli()
	return out, nil
}

// flatCallback moves what is wrong with a component's callback to where its fields stand in the body.
func flatCallback(err error) error {
	fields := fault.Fields(err)
	if len(fields) == 0 || !fault.Is(err, fault.Invalid) {
		return err
	}
	errs := make([]error, len(fields))
	for i, f := range fields {
		errs[i] = fault.At(strings.TrimPrefix(f.Field, "callback."), f.Rule, f)
	}
	return errors.Join(errs...)
}
