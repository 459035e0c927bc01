package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/internal/lang"
)

// The page at / shows an installation at work until the console exists: what was sent to whom, and why not.

//go:embed page.html
var pageSource string

// latestShown is how many deliveries the page lists.
const latestShown = 40

type pageData struct {
	English  bool
	Refusal  string
	Accounts []pageAccount
}

type pageAccount struct {
	Name, AppID string
	Sandbox     bool
	Stopped     string
	Zone        string
	Fans        int64
	Totals      []pageTotal
	Drips       []pageDrip
	Deliveries  []pageDelivery
}

type pageTotal struct {
	State, Reason string
	Number        int64
}

type pageDrip struct{ Name, State string }

type pageDelivery struct {
	at                     int64
	At, Fan, Source, State string
	Class                  string // of the state, for its colour
	Last                   string
	Steps                  []string
}

func (s *Server) page(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), 5*time.Second)
	defer cancel()
	page, err := template.New("page").Parse(pageSource)
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	data := pageData{English: c.Query("lang") == "en", Refusal: string(s.Scheduler.Refusal)}
	all, err := s.Scheduler.Accounts.FindAccounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		shown, err := s.pageAccount(ctx, a, data.lang())
		if err != nil {
			return err
		}
		data.Accounts = append(data.Accounts, shown)
	}
	var out bytes.Buffer
	if err := page.Execute(&out, data); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	c.Type("html", "utf-8")
	return c.Send(out.Bytes())
}

func (d pageData) lang() lang.Lang {
	if d.English {
		return lang.EN
	}
	return lang.ZH
}

func (s *Server) pageAccount(ctx context.Context, a *accounts.Account, l lang.Lang) (pageAccount, error) {
	out := pageAccount{Name: a.Name, AppID: a.AppID, Sandbox: a.Sandbox, Zone: a.Zone}
	if a.Stopped {
		out.Stopped = a.StoppedReason
	}
	var err error
	if out.Fans, err = s.Scheduler.Fans.CountSubscribed(ctx, a.ID); err != nil {
		return out, err
	}
	counts, err := s.Scheduler.Ledger.CountAccount(ctx, a.ID)
	if err != nil {
		return out, err
	}
	for _, n := range counts {
		out.Totals = append(out.Totals, pageTotal{deliveries.StateWords(n.State, l), deliveries.ReasonWords(n.Reason, l), n.Number})
	}
	drips, err := s.Scheduler.Campaigns.FindDrips(ctx, a.ID, campaigns.DripFilter{})
	if err != nil {
		return out, err
	}
	names := map[int64]string{}
	for _, d := range drips {
		names[d.ID] = d.Name
		out.Drips = append(out.Drips, pageDrip{d.Name, campaigns.StateWords(d.State, l)})
	}
	latest, err := s.Scheduler.Ledger.Latest(ctx, a.ID, latestShown)
	if err != nil {
		return out, err
	}
	for i := range latest {
		row, err := s.pageDelivery(ctx, a, &latest[i], l)
		if err != nil {
			return out, err
		}
		row.Source = fmt.Sprintf("%s #%d.%d", names[latest[i].Source.ID], latest[i].StepNo, latest[i].MessageNo)
		out.Deliveries = append(out.Deliveries, row)
	}
	slices.SortStableFunc(out.Deliveries, func(a, b pageDelivery) int { return cmp.Compare(b.at, a.at) })
	return out, nil
}

func (s *Server) pageDelivery(ctx context.Context, a *accounts.Account, d *deliveries.Delivery, l lang.Lang) (pageDelivery, error) {
	explained, err := s.Scheduler.Ledger.Explain(ctx, a.ID, d.ID)
	if err != nil {
		return pageDelivery{}, err
	}
	fans, err := s.Scheduler.Fans.ByIDs(s.storage.db.Read(ctx), a.ID, []int64{d.FanID})
	if err != nil {
		return pageDelivery{}, err
	}
	at := max(d.PlannedAt, d.MarkedAt, d.EndedAt)
	row := pageDelivery{
		at: at, At: time.UnixMilli(at).In(a.Policy.Zone).Format(time.TimeOnly),
		State: deliveries.StateWords(d.State, l), Class: d.State.String(),
	}
	if f := fans[d.FanID]; f != nil {
		row.Fan = shortOpenID(f.OpenID)
	}
	for i := range explained.Steps {
		row.Steps = append(row.Steps, deliveries.Words(&explained.Steps[i], l, a.Policy.Zone))
	}
	if n := len(row.Steps); n > 0 {
		row.Last = row.Steps[n-1]
	}
	return row, nil
}

// shortOpenID names a fan without giving the whole id away.
func shortOpenID(openid string) string {
	if len(openid) <= 10 {
		return openid
	}
	return openid[:6] + "…" + openid[len(openid)-4:]
}
