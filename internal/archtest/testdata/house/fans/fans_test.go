package fans

import (
	_ "time"

	_ "hongyan/wechat/simulator"
)
