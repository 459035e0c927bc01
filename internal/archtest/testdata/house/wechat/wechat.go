package wechat

import _ "hongyan/wechat/callback"
