package campaigns_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

func TestARefusedChangeOfStateNamesTheStateAndWhatIsPossible(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		d := w.create(define(follow, "", `"delay":"0s"`), 0)
		change := campaigns.Change{AccountID: 1, ID: d.ID}
		refused := func(err error, zh, en string) {
			t.Helper()
			require.True(t, fault.Is(err, fault.Conflict), "%v", err)
			require.Equal(t, zh, fault.Words(err, lang.ZH))
			require.Equal(t, en, fault.Words(err, lang.EN))
		}
		_, err := w.drips.PauseDrip(ctx, change)
		refused(err, "智能推送当前为「草稿」，不能执行该操作；可以启动、停止或归档", "this cannot be done to a drip that is draft; it can be started, stopped or archived")
		require.NoError(t, w.drips.StartDrip(ctx, w.account, change))
		running := "this cannot be done to a drip that is running; it can be paused or stopped"
		refused(w.drips.StartDrip(ctx, w.account, change), "智能推送当前为「运行中」，不能执行该操作；可以暂停或停止", running)
		archive := change
		archive.Revision = w.find(d.ID).Revision
		refused(w.drips.ArchiveDrip(ctx, archive), "智能推送当前为「运行中」，不能执行该操作；可以暂停或停止", running)
		_, err = w.drips.PauseDrip(ctx, change)
		require.NoError(t, err)
		_, err = w.drips.PauseDrip(ctx, change)
		refused(err, "智能推送当前为「已暂停」，不能执行该操作；可以继续或停止", "this cannot be done to a drip that is paused; it can be resumed or stopped")
		_, err = w.drips.StopDrip(ctx, change)
		require.NoError(t, err)
		_, err = w.drips.StopDrip(ctx, change)
		refused(err, "智能推送当前为「已停止」，不能执行该操作；只能归档", "this cannot be done to a drip that is stopped; it can only be archived")
		archive.Revision = 1
		refused(w.drips.ArchiveDrip(ctx, archive), "智能推送刚被其他人修改，请刷新后重试", "somebody changed the drip in the meantime; reload it")
	})
}
