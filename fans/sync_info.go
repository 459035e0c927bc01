package fans

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"gorm.io/gorm"

	"hongyan/wechat"
)

const (
	infoBatch = 100 // fans a call (platform.md 7.1)
	infoCalls = 8   // at a time
)

// inform asks the platform about the next fans of the phase and stores what it says. When a call fails, what the others said is stored all the same.
func (w *syncRun) inform(ctx context.Context) error {
	fans, err := w.nextFans(ctx)
	if err != nil {
		return err
	}
	if len(fans) == 0 {
		return w.endInform(ctx)
	}
	var ask []string
	for _, f := range fans {
		if w.asks(f) {
			ask = append(ask, f.openid)
		}
	}
	in := informing{accountID: w.job.AccountID, asked: w.now(), fans: fans}
	var failed error
	in.told, in.refused, failed = w.ask(ctx, ask)
	// The cursor stays before the first fan of whom nothing is known now.
	in.settled = slices.IndexFunc(fans, func(f *syncFan) bool { return w.asks(f) && in.told[f.openid] == nil && in.refused[f.openid] == nil })
	if in.settled < 0 {
		in.settled = len(fans)
	}
	if in.settled > 0 || len(in.told) > 0 {
		if err := w.storeInfos(ctx, in); err != nil {
			return err
		}
	}
	return w.platform.postponed(failed)
}

// asks reports whether a fan is to be asked about. Of the fans on the list, those are not about whom this job has an answer.
func (w *syncRun) asks(f *syncFan) bool {
	return w.at.Phase == phaseGone || f.informedAt < w.job.CreatedAt
}

// nextFans reads the next fans of the phase.
func (w *syncRun) nextFans(ctx context.Context) (fans []*syncFan, err error) {
	which := "listed_job = ?"
	if w.at.Phase == phaseGone {
		which = "listed_job <> ? AND subscribed = 1"
	}
	tx := w.fans.db.Read(ctx)
	err = w.fans.walk(tx, w.at.FanID, func(part idRange) (bool, error) {
		fans, err = w.fans.syncFans(tx, part.condition()+" AND "+which+part.order(), part.from, part.to, w.job.AccountID, w.job.ID)
		return len(fans) > 0, err
	})
	return fans, err
}

// storeInfos stores what was told of fans, and who was refused.
func (w *syncRun) storeInfos(ctx context.Context, in informing) error {
	return w.step(ctx, func(tx *gorm.DB, out *stepResult) error {
		found, err := w.fans.inform(tx, in)
		if err != nil {
			return err
		}
		out.done = int64(in.settled)
		for _, f := range in.fans[:in.settled] {
			out.next.FanID = f.id
			if e := in.refused[f.openid]; e != nil {
				out.failed++
				out.file.refused(f.id, e)
			}
		}
		out.file.allFound(found.back, foundFollowing)
		out.file.allFound(found.gone, foundGone)
		return nil
	})
}

// endInform ends a phase in which fans were asked about.
func (w *syncRun) endInform(ctx context.Context) error {
	moved := int64(0)
	if w.at.Phase == phaseInfo {
		var err error
		if moved, err = w.fans.movedSince(ctx, w.job.AccountID, w.job.CreatedAt); err != nil {
			return err
		}
	}
	return w.step(ctx, func(_ *gorm.DB, out *stepResult) error {
		out.next.FanID = 0
		if w.at.Phase == phaseGone {
			out.next.Phase, out.next.Began = phaseBlacklist, w.now()
			out.total = w.job.Done
			return nil
		}
		out.next.Phase = phaseGone
		// A list that lacks somebody, or has somebody twice, shows here.
		if differ := w.at.Counted - w.at.Listed; max(differ, -differ) > moved {
			out.file.line("", foundCountDiffers, fmt.Sprintf("the platform counts %d fans and its list has %d; %d came or went meanwhile", w.at.Counted, w.at.Listed, moved))
		}
		return nil
	})
}

// movedSince counts who, as far as we know, came or left since a moment in unix ms.
func (s *Store) movedSince(ctx context.Context, accountID, at int64) (n int64, err error) {
	at -= at % 1000 // the platform's times are whole seconds
	err = s.db.Read(ctx).Raw("SELECT COUNT(*) FROM fans WHERE account_id = ? AND (subscribed_at >= ? OR unsubscribed_at >= ?)", accountID, at, at).Scan(&n).Error
	if err != nil {
		return 0, fmt.Errorf("count who came and left: %w", err)
	}
	return n, nil
}

// ask asks about fans, a few calls at a time. After a failure no more calls are begun; of those that were made, the answers count.
func (w *syncRun) ask(ctx context.Context, openids []string) (told map[string]*wechat.FanInfo, refused map[string]*wechat.Error, failed error) {
	told, refused = make(map[string]*wechat.FanInfo, len(openids)), map[string]*wechat.Error{}
	var mu sync.Mutex
	take := func(batch []string) {
		infos, done, err := w.infos(ctx, batch)
		mu.Lock()
		defer mu.Unlock()
		for i := range infos {
			told[infos[i].OpenID] = &infos[i]
		}
		for _, r := range done.Refused {
			refused[r.OpenID] = r.Err
		}
		// The client gives a list up whose fans are all refused. If that was the whole of it, all is said.
		if err != nil && done.Done < len(batch) && failed == nil {
			failed = err
		}
	}
	stopped := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return failed != nil
	}
	var calls sync.WaitGroup
	places := make(chan struct{}, infoCalls)
	for batch := range slices.Chunk(openids, infoBatch) {
		places <- struct{}{}
		if stopped() {
			break
		}
		calls.Go(func() {
			defer func() { <-places }()
			take(batch)
		})
	}
	calls.Wait()
	return told, refused, failed
}

func (w *syncRun) infos(ctx context.Context, batch []string) (infos []wechat.FanInfo, done wechat.Batched, err error) {
	err = w.platform.call(ctx, w.job.AccountID, func(acc wechat.Account) (err error) {
		infos, done, err = w.platform.Client.FanInfos(ctx, acc, batch)
		return err
	})
	return infos, done, err
}

// profileOf is what an answer tells of who a fan is, beside what is known already and not told.
func profileOf(before profile, in *wechat.FanInfo) profile {
	out := profile{
		unionID: before.unionID, language: before.language, scene: before.scene, remark: cut(in.Remark, maxRemark),
		followSource: fit(in.Scene, maxFollowSource), subscribedAt: max(before.subscribedAt, in.FollowedAt.UnixMilli()),
	}
	scene := in.QRSceneStr
	if scene == "" && in.QRScene != 0 {
		scene = strconv.FormatInt(in.QRScene, 10)
	}
	for _, told := range []struct {
		into *string
		text string
	}{{&out.unionID, fit(in.UnionID, maxUnionID)}, {&out.language, fit(in.Language, maxLanguage)}, {&out.scene, fit(scene, maxScene)}} {
		if told.text != "" {
			*told.into = told.text
		}
	}
	return out
}

// What the columns hold.
const (
	maxUnionID      = 64
	maxRemark       = 191
	maxLanguage     = 16
	maxFollowSource = 48
	maxScene        = 64
)

// fit returns an identifier, or nothing if it is none that its column can hold: one odd fan must not hold up a million others.
func fit(id string, n int) string {
	if len(id) > n || slices.ContainsFunc([]byte(id), func(c byte) bool { return c >= utf8.RuneSelf }) {
		return ""
	}
	return id
}
