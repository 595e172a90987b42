# 全部正體中文文案。鍵和變數與 en.ftl 完全一致，由測試核對。
# $…_at 是已經依讀者習慣寫好的時間（例如「5 分鐘後」）。

list-separator = 、

## 拒絕：沒有排隊，也不計入額度

queue-full = 佇列已滿：{ $limit } 個位置已佔用 { $waiting } 個。請 { $retry_at }再試。
too-many-jobs = 你已有 { $active } 個請求在排隊或繪製，同時最多 { $limit } 個。{ $retry_at }可以再送出；用 `/取消` 取消一個就能馬上騰出位置。
daily-limit = 24 小時內最多 { $limit } 張圖片，你已用了 { $used } 張。{ $retry_at }可以再送出。
cooling-down = 請稍候，{ $retry_at }就可以再送出。兩次送出之間至少要隔 { $cooldown_s } 秒。
job-too-large = 這張圖片的工作量超過了這裡的上限。{ $max_steps ->
        [0] 請選小一點的尺寸。
       *[other] 這個尺寸最多可以用 { $max_steps } 步。
    }
not-accepting = 我正在重新啟動，暫時不接受新請求。排隊中的圖片都會保留位置，請一分鐘後再試。
storage-full = 硬碟快滿了，暫時不接受新請求。請通知機器人維護者。
job-not-found-here = 本伺服器沒有圖片 #{ $job_id }。它可能已過期並被清除。
file-not-deleted = 圖片 #{ $job_id } 的檔案暫時刪不掉，沒有做任何變更。請稍後再試。
job-not-found = 沒有圖片 #{ $job_id }。它可能已過期並被清除；用 `/紀錄` 可以查看你自己的圖片。
not-your-job = 圖片 #{ $job_id } 是別人的。
job-unreadable = 無法讀取圖片 #{ $job_id } 儲存的設定，所以不能再畫一次。
job-already-finished = 圖片 #{ $job_id } 已經結束，沒有可以取消的了。
server-not-allowed = 我不在這個伺服器提供服務，可用的伺服器由機器人維護者決定。
channel-not-allowed = 我不在這個頻道畫圖，請前往 { $channels }。
permissions-missing = 我無法在 { $channel } 回覆，缺少以下權限：{ $permissions }。請聯絡頻道管理員。
server-not-listed = 暫停和恢復會影響這個機器人服務的所有伺服器。請機器人維護者先把本伺服器加入 `[discord]` 的 `allowed_guilds`：{ $guild_id }。
store-unavailable = 資料庫暫時無法使用。這次不計入額度，請一分鐘後再試。
managers-only = 只有具備「管理伺服器」權限的成員才能這樣做。
picture-not-ready = 圖片 #{ $job_id } 還看不到：仍在等待，或已失敗、已取消。
picture-pruned = 圖片 #{ $job_id } 的檔案已過期並被清除。種子還在 `/紀錄` 裡，可以重新畫一張。
picture-erased = 圖片 #{ $job_id } 已被刪除，提示詞也一併刪除了。
keeps-too-many = 你已經收藏了 { $limit } 張圖片，達到上限了。請先取消收藏一張。

permission-view-channel = 檢視頻道
permission-send-messages = 傳送訊息
permission-send-messages-in-threads = 在討論串中傳送訊息
permission-embed-links = 嵌入連結
permission-attach-files = 附加檔案

invalid-prompt-empty = 請先寫下想畫什麼。
invalid-prompt = 提示詞要有 1 到 { $max_chars } 個可見字元。
invalid-seed = 種子必須是 0 到 { $max_seed } 的整數；留空（或填 −1）則隨機。
invalid-steps = 步數必須是 1 到 { $max_steps } 的整數。
invalid-aspect = 目前的模型畫不了這種畫面比例，請從清單中選擇。
invalid-model-other = 這裡沒有這個模型。可選：{ $models }。
# 變數以百萬為單位；後面的「00 萬」換算成中文的說法（64 百萬 = 6400 萬）。
invalid-image = 起始圖片須為 PNG、JPEG 或 WebP，不超過 { $max_image_mib } MiB、{ $max_image_megapixels }00 萬像素（PNG 和 WebP 為 { $max_whole_megapixels }00 萬），長寬比也不能太極端。
invalid-strength = 重繪強度可以是 `subtle`（輕微）、`medium`（適中）或 `strong`（強烈），也可以是大於 0、不超過 1 的數，例如 `0.6` 或 `60%`。
invalid-value = 「{ $field }」無效：{ $reason }。

unexpected-error = 我這邊出錯了。沒有遺失任何內容，也不計入額度，請再試一次。如果一直這樣，請把錯誤編號告訴機器人維護者：{ $error_id }。
command-outdated = 這個指令剛剛更新。請等一分鐘，或重新整理 Discord（Ctrl+R）後再試。

## 任務失敗的原因

failure-generation-failed = 繪製失敗，不計入額度。請再試一次，也可以換個說法。
failure-out-of-memory = 顯示卡記憶體不足，不計入額度。換小一點的尺寸也許可以。
failure-timeout = 繪製時間過長，已中止，不計入額度。減少步數或換小一點的尺寸也許可以。
failure-interrupted = 繪製這張圖片時我重新啟動了兩次，不計入額度，請再試一次。
failure-model-missing = 缺少模型檔案，不計入額度。請通知機器人維護者。
failure-invalid-spec = 目前的模型畫不了這個尺寸或這些設定，不計入額度，請重新送出。
failure-storage = 這張圖片的檔案無法讀取或儲存，多半是硬碟滿了，不計入額度。請通知機器人維護者。
failure-unreadable = 這張圖片儲存的設定已毀損，無法繪製，不計入額度，請重新送出。
failure-newer-release = 這張圖片是由較新版本的機器人接受的，其中有目前版本不認得的設定，不計入額度。如果一週內換回那個版本，就會繼續繪製；也可以重新送出。
failure-blocked = 這張圖未通過本機的圖片檢查。此次不計入額度。
failure-other = 這張圖片失敗的原因只有較新版本的機器人才知道，不計入額度。
prompt-unreadable = （儲存的提示詞無法讀取。）

## 頻道裡的訊息

card-waiting = ⏳ { $who } · 排隊中
card-next = ⏳ { $who } · 下一張就是你的
card-next-loading = ⏳ { $who } · 下一張就是你的 · 正在載入 { $model }
card-ahead = ⏳ { $who } · 前面還有 { $count } 張
card-preparing = ⚙️ 正在載入 { $model }，好了就開始畫。
card-passed-by-people = ↕️ 最近一小時內其他人用的繪製時間較少，所以先畫他們的。
card-passed-by-model = ↕️ 先畫使用已載入模型的圖片，最多讓你多等兩分鐘。
card-running = 🎨 { $who } · 第 { $step } / { $steps } 步
card-loading = 🎨 { $who } · 正在載入 { $model }
card-encoding = 🎨 { $who } · 正在理解提示詞
card-decoding = 🎨 { $who } · 正在收尾
card-stopping = 🎨 { $who } · 正在停止
card-finish = { $when }完成
card-finish-rough = 大約{ $when }完成
card-finish-soon = 馬上完成
card-paused = ⏸️ 已暫停：{ $reason }
card-paused-by-moderator = ⏸️ 已由管理員暫停
pause-engine-failures = 連續幾張圖片都失敗了，過一會兒我會再試一張
pause-storage = 圖片無法儲存，一旦能儲存就會繼續
card-resumed = ↻ 我重新啟動過，你的排隊位置還在。
card-done = ✅ { $who } · 你的圖片畫好了
card-done-elsewhere = ✅ { $who } · 你的圖片在本頻道的新訊息裡。
card-done-by-dm = ✅ { $who } · 圖片無法貼在這裡，已經用私人訊息傳給你。
card-failed = ❌ { $who } · { $reason }
card-cancelled = 🚫 { $who } · 已取消
card-settings = #{ $job_id } · 種子 { $seed } · { $steps } 步 · { $width } × { $height } · { $model }
card-seconds = { $settings } · { $seconds } 秒
card-no-seconds = { $settings } · 不到 0.1 秒
card-shrunk = 為符合 Discord 的上傳限制已壓縮（{ $format }），原圖已保留。
card-prompt-hidden = （伺服器的 AutoMod 不允許我重複提示詞。）
card-from-picture = 這張圖片是從一張起始圖片畫成的（重繪強度 { $strength }），指令無法附上起始圖片；只用這個指令，畫出來的會不一樣。
card-other-model = 這張圖片是用 { $model } 畫的；現在這個指令會用 { $usual } 來畫，結果會不一樣。
unread-prompt = ⚠️ 這個模型只認得英文：提示詞的 { $total } 個字元中有 { $count } 個它讀不懂。請用英文寫提示詞。
prompt-cut = ⚠️ 提示詞太長，這個模型讀不完，結尾的部分不起作用。請縮短提示詞。
negative-cut = ⚠️ 負面提示詞太長，這個模型讀不完，結尾的部分不起作用。請縮短負面提示詞。
card-picture-pruned = 檔案已過期並被清除，用同一個指令可以重新畫。
button-cancel = 取消

## 私密回覆

cancel-done = 圖片 #{ $job_id } 已取消。
cancel-stopping = 圖片 #{ $job_id } 會在下一步停下，你不用再做什麼。

queue-title = { $running ->
        [0] { $waiting ->
                [0] 沒有人在排隊。
               *[other] 沒有正在繪製的圖片，{ $waiting } 張排隊
            }
       *[other] { $running } 張正在繪製，{ $waiting ->
                [0] 沒有人在排隊
               *[other] { $waiting } 張排隊
            }
    }
queue-running = 🎨 #{ $job_id } · { $who } · { $finish }
queue-waiting = { $position }. #{ $job_id } · { $who } · { $finish }
queue-more = ……還有 { $count } 張
queue-elsewhere = + 其他伺服器 { $count } 張
queue-unknown-finish = 等佇列恢復

history-title = 你的圖片
history-search-title = 你的圖片：包含「{ $search }」
history-empty = 還沒有圖片，用 `/imagine` 畫第一張吧。
history-nothing-found = 沒有找到符合「{ $search }」的圖片。可以搜尋提示詞裡的詞、種子（seed:42）、編號（#35）或日期（昨天、11月29日、2026-11-01..2026-11-10）。
history-line = **#{ $job_id }** · { $when } · 種子 { $seed }
history-older = 更早
history-newest = 最新
history-file-gone = 圖片 #{ $job_id } 的檔案已過期並被清除。

quota-title = 你的額度
quota-used = 24 小時內：已用 **{ $used }** / { $limit } 張
quota-resets = { $resets_at }可以再送出。
quota-active = 排隊或繪製中的請求：**{ $active }** / { $active_limit } 個
quota-cooldown = 你還有未完成的請求，或有人在排隊時，兩次送出之間至少要隔 { $cooldown_s } 秒。
quota-sizes = 草稿按像素折算，大圖和步數更多的圖片會多算。
quota-free = 被拒絕、失敗和開始前取消的請求都不計入額度。

notes-title = 你先前的請求有了結果：
note-done = ✅ #{ $job_id } 畫好了，用 `/查看 編號:{ $job_id }` 貼出來。
note-failed = ❌ #{ $job_id }：{ $reason }
note-cancelled = 🚫 #{ $job_id } 已取消。

## 本機頁面

console-starting = 頁面正在準備中，幾秒後會自動開啟。
console-prompt = 想畫什麼
# 內建模型只認得簡體字，所以這個例子只用兩種字體相同的字。
console-prompt-demo = 內建模型認得 431 種東西，一次畫一個或幾個，請用英文或簡體中文寫；不認得的多半會畫成思考表情。
console-prompt-english = 請用英文寫：這個模型不認得中文。
console-draw = 開始畫
console-seed = 種子（−1 = 隨機）
console-dice = 🎲 隨機
console-keep = 📌 保留
console-steps = 步數
console-aspect = 畫面比例
console-model = 模型
console-count = 張數
console-more = 更多設定
console-source = 起始圖片
console-strength = 重繪強度：多少內容重新畫
console-name = 排隊時顯示的名字（選填）
console-name-hint = 某人
console-queued = { $count ->
        [1] 已加入佇列。
       *[other] 已加入佇列：{ $count } 張。
    }
console-waiting = 排隊中
console-next = 下一張就是你的
console-next-loading = 下一張就是你的 · 正在載入 { $model }
console-ahead = 前面還有 { $count } 張
console-running = 第 { $step } / { $steps } 步
console-loading = 正在載入 { $model }
console-encoding = 正在理解提示詞
console-decoding = 正在收尾
console-stopping = 正在停止
console-resumed = ↻ 服務重新啟動過，你的排隊位置還在。
console-download = ⬇ 下載
console-reuse = ↩ 套用這些設定
console-ok = 知道了
console-gallery = 你的圖片
console-search = 搜尋提示詞、種子或日期
console-offline = 服務沒有回應。恢復後頁面會自動繼續，排隊中的圖片不會遺失。
console-from-picture = { $settings } · 從起始圖片畫成，重繪強度 { $strength }
console-you = 你
console-somebody = 某人
console-elsewhere = Discord 上的某人
console-in-seconds = { $count } 秒後
console-in-minutes = { $count } 分鐘後
console-in-hours = { $count } 小時後
console-too-many-jobs = 你已有 { $active } 個請求在排隊或繪製，同時最多 { $limit } 個。{ $retry_at }可以再送出；取消一個就能馬上騰出位置。
console-job-not-found = 圖片 #{ $job_id } 不是你的，或已過期並被清除。
already-unpacking = 還在讀取另一張起始圖片，請過幾秒再試。
upload-gone = 起始圖片已經不在了，請重新選擇。
too-many-from-address = 你的網路地址今天共有 { $used } 張圖片在排隊或已畫，上限是 { $limit } 張。請 { $retry_at }再試。

## 管理

admin-paused =
    { $paused }
    排隊的圖片會保留位置。
admin-resumed = 佇列已恢復。{ $waiting ->
        [0] 沒有圖片在排隊。
       *[other] 有 { $waiting } 張圖片在排隊。
    }
admin-stats =
    模型 **{ $model }** · { $state }
    排隊 { $waiting } · 繪製中 { $running }
    24 小時內：完成 { $done }，失敗 { $failed }，取消 { $cancelled }
    24 小時繪製時間：{ $drawn } · 每步：{ $step }
    硬碟剩餘空間：{ $disk_gib } GiB · { $started_at }啟動
admin-card = 權重：{ $format } · 顯示卡上 { $resident_gb } GB · 每步傳輸 { $streamed_gb } GB，{ $link_gb_s } GB/s
admin-state-open = 接受新請求
admin-state-closing = 正在關閉
admin-step = { $step_s } 秒
admin-step-unknown = 還沒有測量

## 模型不認得的詞

unknown-words = ⚠️ { $model } 模型不認得：{ $words }。它會畫什麼，請看 `/說明`。
console-unknown-words = ⚠️ { $model } 模型不認得：{ $words }。
unknown-words-and-more = { $words }等
unknown-word-meant = { $word }（是 { $meant } 嗎？）

## 說明、提及、私訊

help-title = 我能做什麼
help-about = 輸入 `/imagine prompt: …`，我就在執行我的那台電腦上畫出來。圖片大家都看得到，訊息裡寫著怎樣再畫一張同樣的。
help-knows-title = 這個模型會畫什麼
help-knows = { $count } 種東西，一次一到四個，背景顏色任選。例如：{ $names }
help-models-title = 模型與授權條款
help-model-commercial = **{ $title }** · { $licence } · 可以商用
help-model-private = **{ $title }** · { $licence } · 不可商用
help-models-more = ……還有 { $count } 個
help-languages-title = 語言
help-languages = 這裡的模型（{ $model }）認得：{ $languages }。
help-languages-any = 這裡的模型（{ $model }）什麼語言都認得。
language-en = 英文
language-zh = 中文（簡體）
help-limits-title = 你的額度
help-stored-title = 會儲存什麼
help-stored = 在執行我的電腦上儲存 { $days } 天：你的 Discord ID、提示詞、設定和圖片；你收藏的圖片會留得更久。執行我的人都看得到。頻道裡的訊息會一直留到有人刪除。
help-examples-title = 試試看
help-examples = 按一下按鈕就在這裡畫，大家都看得到，算作你自己的圖片。
example-gone = 這個範例屬於另一個模型或版本，所以沒有畫。現在的範例請看 `/說明`。
greeting-server = 輸入 { $imagine }，在「prompt:」後面寫下想畫的東西。{ $help } 裡有按一下就能畫的範例。
greeting-direct = 指令要在伺服器裡用，這裡不行：請到伺服器裡輸入 { $imagine }，在「prompt:」後面寫下想畫的東西。{ $help } 裡有按一下就能畫的範例。

## 指令：名稱（小寫，最多 32 字）和說明（最多 100 字）

command-imagine-name = imagine
command-imagine-description = 畫一張圖片
option-prompt-description = 想畫什麼，用自己的話說
option-prompt-english-description = 想畫什麼，請用英文寫（這個模型不認得中文）
option-seed-description = 種子和設定相同，圖片就相同；留空或填 −1 則隨機
option-steps-description = 步數越多越慢，細節也越多
option-aspect-description = 畫面比例
aspect-square = 方形
aspect-portrait = 直式
aspect-landscape = 橫式
aspect-phone = 手機直式
aspect-wide = 寬螢幕

command-queue-name = 佇列
command-queue-description = 誰在排隊，還要等多久
command-cancel-name = 取消
command-cancel-description = 取消你的一張圖片
option-cancel-job-name = 圖片
option-cancel-job-description = 你的哪一張圖片，排隊中或正在繪製的都可以
command-history-name = 紀錄
command-history-description = 你的圖片，從新到舊（只有你能看到）
option-search-name = 搜尋
option-search-description = 提示詞裡的詞、種子（seed:42）、編號（#35）或日期（昨天、11月29日、2026-11-01..2026-11-10）
command-show-name = 查看
command-show-description = 再貼一次圖片：你自己的，或本伺服器裡公開的
option-id-name = 編號
option-id-description = 圖片的編號
command-quota-name = 額度
command-quota-description = 你的額度，以及已經用了多少

command-help-name = 說明
command-help-description = 我能做什麼，附按一下就畫的範例

command-admin-name = 管理
command-admin-description = 管理員用：佇列、圖片、禁令、禁用詞、限額和頻道
command-admin-pause-name = 暫停
command-admin-pause-description = 停止繪製；排隊的圖片保留位置
option-reason-name = 原因
option-reason-description = 會顯示給所有正在等待的人
command-admin-resume-name = 恢復
command-admin-resume-description = 繼續繪製
command-admin-queue-name = 佇列
command-admin-queue-description = 佇列，含本伺服器的提示詞
command-admin-cancel-name = 取消
command-admin-cancel-description = 取消本伺服器任何人的圖片
command-admin-stats-name = 統計
command-admin-stats-description = 負載、速度和硬碟

## 圖片下面的按鈕

button-again = 🔄 再來一張
button-edit = ✏️ 修改
button-vary = 🌱 微調
button-more = ⋯ 更多
button-final = 🎨 畫成正式尺寸
form-size = 尺寸
form-size-hint = { $names }，或 { $example } 這樣的寬高
option-size-description = 清單裡的尺寸，或 448x448 這樣的寬高
button-more-steps = 🔬 同一種子，{ $steps } 步
button-start-from = 🖼️ 用作起始圖片
button-info = ℹ️ 詳細資訊
button-original = 📄 原始檔案
button-send-dm = ✉️ 私訊給我
button-keep = ⭐ 收藏
button-unkeep = ⭐ 取消收藏
button-delete = 🗑️ 刪除
button-erase = 🗑️ 永久刪除
press-repeated = 收到了，按一次就夠。
pick-title = 選哪一張？
pick-option = 第 { $number } 張 · #{ $job_id } · 種子 { $seed }
menu-title = 圖片 #{ $job_id } · { $prompt }
info-title = 圖片 #{ $job_id }
info-asked = { $who } { $when }送出
info-drawn = { $when }畫完，用時 { $seconds } 秒
info-derived = 由圖片 #{ $job_id } 而來
info-from-image = 從一張圖片畫起，強度 { $strength }
info-file = 檔案：{ $kib } KiB
info-kept = ⭐ 已收藏，不會過期。
original-file = 圖片 #{ $job_id } 的檔案
dm-sent = 圖片 #{ $job_id } 已私訊給你。
dm-closed = 我沒辦法傳私訊給你。請在這個伺服器的隱私設定裡允許私訊，然後再試一次。
image-kept = ⭐ 圖片 #{ $job_id } 已收藏，不會過期。
image-kept-no-longer = 圖片 #{ $job_id } 不再收藏，會和其他圖片一樣過期。
delete-question = 永久刪除圖片 #{ $job_id }？檔案、提示詞和訊息都會消失，但仍計入今天的額度。
image-deleted = 圖片 #{ $job_id } 已刪除，提示詞也一併刪除了。
image-deleted-but-message = 圖片 #{ $job_id } 和提示詞已刪除，但我沒辦法收回訊息。請自己刪除那則訊息，或請管理員刪除。
form-edit-title = 修改圖片 #{ $job_id }
form-start-from-title = 從圖片 #{ $job_id } 畫起
form-prompt = 畫什麼
form-seed = 種子
form-seed-hint = 種子相同，圖片相近；留空則隨機。
form-steps = 步數
form-aspect = 畫面比例
form-strength = 改動多少
strength-subtle = 輕微：貼近原圖
strength-medium = 適中：構圖不變，內容更新
strength-strong = 強烈：只留一點原圖的影子
fewer-queued = { $wanted } 張裡有 { $count } 張已排隊。
card-batch = 已畫好 { $done } / { $count } 張
card-done-several = ✅ { $who } · { $count } 張裡畫好了 { $done } 張
card-done-all = ✅ { $who } · 你的 { $count } 張圖片畫好了
card-some-cancelled = 🚫 有 { $count } 張已取消。
card-some-failed = ❌ 沒有全部畫成：{ $reason }
card-settings-several = { $job_ids } · 種子 { $seeds } · { $steps } 步 · { $width } × { $height } · { $model }
ping-done = ✅ { $who } { $count ->
        [1] 你的圖片畫好了。
       *[other] 你的 { $count } 張圖片畫好了。
    }
ping-failed = ❌ { $who } 你的圖片沒畫成，原因見它的訊息。
command-settings-name = 設定
command-settings-description = 你自己的設定
option-ping-name = 通知
option-ping-description = 等候超過一分鐘的圖片畫好後，怎麼告訴你
ping-choice-here = 在頻道裡提到我
ping-choice-dm = 傳私訊
ping-choice-off = 不通知
option-count-description = 畫幾張，種子依次加一
option-model-description = 用哪個模型畫，清單見 /說明
option-negative-description = 不想要的內容；不支援這項設定的模型會拒絕
option-cfg-description = 照著文字畫的程度；1 表示不理會「不想要的內容」
option-guidance-description = 照著文字畫的程度（FLUX 系列的模型）
option-sampler-description = 雜訊如何變成圖片
option-clip-skip-description = 用 CLIP 的哪一層，1 是最後一層

## 提示詞裡的參數，以及從其他程式貼上的設定

invalid-flag = 提示詞裡的「{ $flag }」有誤：{ $name ->
        [seed] 種子必須是 0 到 { $most } 的整數，-1 表示隨機。
        [steps] 步數必須是 1 到 { $most } 的整數。
        [count] 張數必須是 1 到 { $most } 的整數。
        [aspect] 畫面比例請寫成 16:9 這樣，或寫名稱：square、portrait、landscape、phone、wide。
        [size] 尺寸請寫 draft、normal、large，或寫成 448x448 這樣。
        [model] 缺少模型名稱。
        [cfg_scale] CFG 強度必須是 1 到 { $most } 之間的數。
        [guidance] 引導強度必須是 0 到 { $most } 之間的數。
        [clip_skip] CLIP 跳層必須是 1 到 { $most } 的整數。
        [sampler] 缺少取樣器名稱。
        [strength] 重繪強度寫 subtle（輕微）、medium（適中）、strong（強烈），或大於 0、不超過 1 的數，也可以寫成 60% 這樣。
       *[other] 缺少參數值。
    }
flags-taken = 已採用提示詞裡的設定：{ $settings }
flags-taken-aspect = 畫面比例 { $value ->
        [square] 方形
        [portrait] 直式
        [landscape] 橫式
        [phone] 手機直式
        [wide] 寬螢幕
       *[other] { $value }
    }
flags-taken-size = 尺寸 { $value ->
        [draft] 草稿
        [normal] 標準
        [large] 大圖
       *[other] { $value }
    }
flags-taken-seed = { $value ->
        [-1] 隨機種子
       *[other] 種子 { $value }
    }
flags-taken-steps = { $value } 步
flags-taken-count = { $value } 張
flags-taken-model = 模型 { $value }
flags-taken-negative = 不要 { $value }
flags-taken-no-negative = 沒有負面提示詞
flags-taken-cfg = CFG { $value }
flags-taken-guidance = 引導強度 { $value }
flags-taken-sampler = 取樣器 { $value }
flags-taken-clip-skip = CLIP 跳層 { $value }
flags-most-images = 一次最多 { $most } 張。
flags-unknown = 這裡不認得：{ $names }
flags-unsupported = 這裡用 { $model } 做不到：{ $names }
flags-unused = 這裡用不到：{ $names }
flags-overridden = 你已另外設定，因此沒有採用提示詞裡的：{ $names }
flags-more = 還有 { $count } 個

## 尺寸

size-draft = 草稿
size-normal = 標準
size-large = 大圖
invalid-size = 尺寸可以是 `draft`（草稿）、`normal`（標準）或 `large`（大圖），也可以寫寬和高的像素數，例如 `448x448`。
invalid-size-nearest = { $model } 畫不出這個尺寸。最接近的可用尺寸是 `{ $nearest }`。
invalid-size-not-offered = { $model } 沒有這種尺寸。可選：{ $sizes }。
invalid-size-memory = 這裡的顯示卡記憶體放不下 { $size } 的圖片。請選小一點的尺寸。
already-final = 圖片 #{ $job_id } 不是草稿，以標準尺寸重畫也不會變大。
console-size = 尺寸
console-exact-size = 精確尺寸，取代畫面比例和尺寸（可不填）
console-exact-size-hint = 448x448

## 只有部分模型才有的設定

invalid-negative-prompt = 負面提示詞最多 { $max_chars } 個可見字元。
invalid-negative-prompt-not-offered = { $model } 不支援負面提示詞。請拿掉它，直接在提示詞裡寫想要的內容。
invalid-cfg-scale = CFG 強度必須是 { $min_cfg } 到 { $max_scale } 之間的數。
invalid-cfg-scale-not-offered = { $model } 不能設定 CFG 強度，請拿掉這一項。
invalid-guidance = 引導強度必須是 0 到 { $max_scale } 之間的數。
invalid-guidance-not-offered = { $model } 不能設定引導強度，請拿掉這一項。
invalid-sampler = 沒有這種取樣器。可選：{ $samplers }。
invalid-sampler-other = { $model } 沒有這種取樣器。可選：{ $samplers }。
invalid-sampler-not-offered = { $model } 只有一種取樣器，不能選擇，請拿掉這一項。
invalid-clip-skip = CLIP 跳層必須是 1 到 { $max_clip_skip } 的整數。
invalid-clip-skip-not-offered = { $model } 不能設定 CLIP 跳層，請拿掉這一項。
settings-sampling = 取樣器 { $sampler } · CFG { $cfg }
settings-clip-skip = CLIP 跳層 { $clip_skip }
settings-negative = 負面提示詞：{ $negative }
negative-idle = ⚠️ CFG 強度為 1 時，負面提示詞不起作用。
setting-negative-prompt = 負面提示詞
setting-cfg-scale = CFG 強度
setting-guidance = 引導強度
setting-sampler = 取樣器
setting-clip-skip = CLIP 跳層
settings-lost = { $model } 沒有前一張圖片的這些設定，已拿掉：{ $names }
setting-own = 依模型的預設值
console-negative = 不想要的內容（負面提示詞）
console-cfg = CFG 強度
console-guidance = 引導強度
console-sampler = 取樣器
console-clip-skip = CLIP 跳層

## 管理員的處理

invalid-moment = { $flaw ->
        [past] 這個時間已經過了，請填一個將來的時間。
        [far] 這個時間在十年以後了。請填早一點的時間，或者不填，表示沒有期限。
       *[unreadable] 看不懂這個時間。可以這樣寫：`30m`、`2h`、`3d`、`18:00`、`2026-12-24` 或 `2026-12-24 18:00`。
    }
picture-removed = { $has_reason ->
        [yes] 圖片 #{ $job_id } 已被管理員移除：{ $reason }
       *[no] 圖片 #{ $job_id } 已被管理員移除。
    }
note-removed = { $has_reason ->
        [yes] 🚫 #{ $job_id } 已被管理員移除：{ $reason }
       *[no] 🚫 #{ $job_id } 已被管理員移除。
    }
note-stopped = { $has_reason ->
        [yes] 🚫 #{ $job_id } 已被管理員取消：{ $reason }
       *[no] 🚫 #{ $job_id } 已被管理員取消。
    }
card-stopped = { $has_reason ->
        [yes] 🚫 { $who } · 已被管理員取消：{ $reason }
       *[no] 🚫 { $who } · 已被管理員取消
    }
prompt-erased = （提示詞已刪除。）
banned = { $has_reason ->
        [yes] 你已被管理員禁止繪圖：{ $reason }
       *[no] 你已被管理員禁止繪圖。
    }
banned-until = { $has_reason ->
        [yes] 你已被管理員禁止繪圖：{ $reason }
            禁令{ $until_at }解除。
       *[no] 你已被管理員禁止繪圖，{ $until_at }解除。
    }
blocked-word = { $is_disguised ->
        [yes] 「{ $found }」會被識別為「{ $word }」，它在這裡的禁用詞清單裡，請去掉它。
       *[no] 「{ $word }」在這裡的禁用詞清單裡，請去掉它。
    }
restricted-word = { $is_disguised ->
        [yes] 「{ $found }」會被識別為「{ $word }」，只能在有年齡限制的頻道裡畫。請去掉它，或到這樣的頻道裡送出。
       *[no] 「{ $word }」只能在有年齡限制的頻道裡畫。請去掉它，或到這樣的頻道裡送出。
    }
invalid-word = 「{ $word }」不能加進清單：至少要有兩個字母或一個漢字，最多 100 個字元。
too-many-words = 清單已滿：最多 { $limit } 個詞。
command-admin-remove-name = 移除
command-admin-remove-description = 徹底移除本伺服器的一張圖片和它的提示詞
option-remove-reason-name = 原因
option-remove-reason-description = 會告訴送出請求的人
command-admin-ban-name = 停權
command-admin-ban-description = 禁止某人繪圖，在所有伺服器生效
option-ban-user-name = 使用者
option-ban-user-description = 對誰生效
option-ban-until-name = 截止
option-ban-until-description = 例如 2h、3d、2026-12-24 或 2026-12-24 18:00；不填則一直有效
option-ban-reason-name = 原因
option-ban-reason-description = 會告訴那個人
command-admin-unban-name = 解除停權
command-admin-unban-description = 允許某人再次繪圖
command-admin-bans-name = 停權名單
command-admin-bans-description = 查看誰被禁止繪圖
command-admin-words-name = 禁用詞
command-admin-words-description = 不畫的詞
command-admin-words-add-name = 新增
command-admin-words-add-description = 拒絕含有某個詞的提示詞，無論怎樣寫
command-admin-words-remove-name = 刪除
command-admin-words-remove-description = 從清單裡刪除一個詞
command-admin-words-test-name = 測試
command-admin-words-test-description = 看看一段文字會因為什麼被拒絕
command-admin-words-list-name = 清單
command-admin-words-list-description = 查看清單
option-word-name = 詞
option-word-description = 一個詞或短語；多個用逗號隔開
option-where-name = 範圍
option-where-description = 在哪裡拒絕
where-everywhere = 所有頻道
where-sfw = 年齡限制頻道以外
option-test-text-name = 文字
option-test-text-description = 可能有人會送出的內容
admin-removed = 圖片 #{ $job_id } 已徹底移除，提示詞也一併刪除了。
admin-removed-but-message = 圖片 #{ $job_id } 已徹底移除。它的訊息暫時刪不掉，我會繼續嘗試，你也可以自己刪除。
admin-banned = { $who } { $until }不能繪圖。取消的請求：{ $count } 個。
ban-for-good = 在你解除停權之前
ban-until = 在 { $when } 之前
admin-unbanned = { $who } 可以再次繪圖了。
admin-not-banned = { $who } 沒有被停權。
admin-bans-title = 被停權的人：{ $count }
admin-ban-line = { $has_reason ->
        [yes] { $who } · { $until } · { $reason }
       *[no] { $who } · { $until }
    }
admin-ban-nobody = 某個刪除了全部資料的人
admin-bans-more = 還有 { $count } 人
admin-words-added = 從現在起拒絕（{ $where }）：{ $words }
admin-words-removed = 不再拒絕：{ $words }
admin-words-not-there = 清單裡沒有這個詞。
admin-words-empty = 清單是空的：任何提示詞都會畫。
admin-words-title = 不畫的詞：{ $count } 個
admin-words-passes = 這會被畫出來：沒有清單裡的詞。
admin-words-caught = 這會被拒絕（{ $where }）：「{ $found }」會被識別為「{ $word }」。

## 身分組、額度和頻道

steps-not-allowed = 你要求 { $steps } 步，而你的身分組最多允許 { $limit } 步，請減少步數。
model-not-allowed = 你的身分組不能使用 { $model }。可用的模型：{ $allowed }。
quota-own = 這個張數是管理員單獨為你設定的。
quota-steps = 每張圖片最多 { $max_steps } 步。
quota-models = 你的身分組可用的模型：{ $models }
admin-quota-set = { $who } 現在 24 小時內可以畫 { $images } 張圖片，不受身分組限制。
admin-quota-reset = { $who } 每天的張數恢復為由身分組和一般額度決定。
channel-holds = 在 { $channel }，沒有另外指定時：
channel-model = 模型：{ $model }
channel-model-usual = 模型：{ $model }（與其他頻道相同）
channel-shape = 畫面比例：{ $shape }
channel-shape-usual = 畫面比例：模型預設
channel-private = 圖片：私密，只有送出請求的人看得到
channel-public = 圖片：這裡的人都看得到
channel-threads = 這個頻道的討論串沿用這些設定，除非討論串裡另有設定。
channel-parent = 這個討論串沒有設定的，沿用 { $parent } 的設定。
command-admin-quota-name = 額度
command-admin-quota-description = 設定某個人 24 小時內可以畫多少張
option-quota-user-name = 使用者
option-quota-user-description = 為誰設定
option-images-name = 張數
option-images-description = 24 小時內的張數；留空則恢復為由身分組決定
command-admin-channel-name = 頻道
command-admin-channel-description = 查看或設定這個頻道或討論串的預設設定
option-channel-model-name = 模型
option-channel-model-description = 沒有另外指定時用的模型
option-channel-aspect-name = 畫面比例
option-channel-aspect-description = 沒有另外指定時的畫面比例
option-channel-private-name = 私密
option-channel-private-description = 是否只有送出請求的人看得到圖片
option-channel-reset-name = 重設
option-channel-reset-description = 清除先前在這裡的設定

## 暫停和靜默時段

card-paused-until = ⏸️ 暫停到 { $until }：{ $reason }
card-paused-until-by-moderator = ⏸️ 管理員已暫停，到 { $until } 為止
console-paused-until = ⏸️ 已暫停：{ $reason }，{ $until }恢復繪製。
console-paused-until-by-moderator = ⏸️ 管理員已暫停，{ $until }恢復繪製。
pause-quiet-hours = 靜默時段
queue-full-paused = 佇列已滿：{ $limit } 個位置已佔用 { $waiting } 個，而且佇列已暫停，恢復後才會有空位。
queue-full-paused-until = 佇列已滿：{ $limit } 個位置已佔用 { $waiting } 個，而且佇列已暫停。請等恢復後再試：{ $opens_at }。
too-many-jobs-paused = 你已有 { $active } 個請求在排隊，同時最多 { $limit } 個，而且佇列已暫停。恢復後可以再送出；用 `/取消` 取消一個就能馬上騰出位置。
too-many-jobs-paused-until = 你已有 { $active } 個請求在排隊，同時最多 { $limit } 個，而且佇列已暫停。恢復後（{ $opens_at }）可以再送出；用 `/取消` 取消一個就能馬上騰出位置。
console-too-many-jobs-paused = 你已有 { $active } 個請求在排隊，同時最多 { $limit } 個，而且佇列已暫停。恢復後可以再送出；取消一個就能馬上騰出位置。
console-too-many-jobs-paused-until = 你已有 { $active } 個請求在排隊，同時最多 { $limit } 個，而且佇列已暫停。恢復後（{ $opens_at }）可以再送出；取消一個就能馬上騰出位置。
admin-next-quiet = 下一個靜默時段從 { $next_at } 開始。
option-pause-until-name = 截止
option-pause-until-description = 到時自動恢復：30m、2h、18:00、2026-12-24 18:00

## 紀錄

not-of-this-server = 圖片 #{ $job_id } 不是在本伺服器畫的，在這裡只有送出請求的人能用。
posted-own = 🖼️ { $owner } 的圖片 #{ $job_id }
posted-of-other = 🖼️ { $owner } 的圖片 #{ $job_id } · 由 { $who } 張貼
button-post = 📣 貼到這裡
history-line-removed = **#{ $job_id }** · { $when } · 🛡️ 已被管理員移除
history-line-removed-because = **#{ $job_id }** · { $when } · 🛡️ 已被管理員移除：{ $reason }
history-private = 🔒 私密
history-spoiler = 🙈 防雷
history-kept = ⭐
history-days = 📅 { $days }
history-cut = 已經搜到 #{ $job_id }，再往後可能還有。
history-nothing-yet = 目前還沒找到符合「{ $search }」的圖片，還可以繼續搜尋。
history-newer = 較新
history-oldest = 最早
history-search-older = 繼續往前搜
history-search-newer = 繼續往後搜
history-back = 回到清單
history-pick = 選一張圖片來張貼、修改或刪除
history-picked-title = 圖片 #{ $job_id }
history-sheet-alt = { $numbers } 的縮圖
history-label = #{ $job_id } · { $age } · 種子 { $seed }
history-age-minutes = { $count ->
    [0] 剛剛
   *[other] { $count } 分鐘前
}
history-age-hours = { $count } 小時前
history-age-days = { $count } 天前

## 個人設定和預設組合

settings-title = 你的設定
settings-footer = 使用 /imagine 時，沒有另外填寫的項目會照這裡的設定。用「重設」可以改回預設值。
settings-as-model = 照模型的預設值
settings-usual-model = 預設模型（{ $model }）
settings-model-gone = 這裡已經沒有「{ $model }」，改用預設模型
settings-unreadable = ⚠️（存下的內容無法讀取，不起作用）
settings-no-words = 無
settings-not-chosen = 未選擇：關閉，除非頻道另有規定
settings-on = 開啟
settings-off = 關閉
mine-aspect = 畫面比例
mine-steps = 步數
mine-suffix = 每個提示詞後面加上
mine-model = 模型
mine-ping = 等了很久時
mine-language = 私下回覆你的語言
mine-private = 私密圖片
mine-private-to = 私密圖片的送達方式
mine-spoiler = 防雷遮蔽
reset-all = 全部
language-of-discord = 跟隨你的 Discord
private-to-dm = 傳私訊
private-to-button = 在頻道裡放一個只有你能打開的按鈕
option-aspect-name = 畫面比例
option-steps-name = 步數
option-suffix-name = 後綴
option-suffix-description = 加在每個提示詞後面的文字；指定種子時不加
option-model-name = 模型
option-language-name = 語言
option-language-description = 我私下回覆你時用的語言
option-private-name = 私密
option-private-description = 圖片是否只給你一個人看
option-private-to-name = 私密送達
option-private-to-description = 私密圖片怎樣送到你手上
option-spoiler-name = 防雷
option-spoiler-description = 圖片是否要點擊後才顯示；提示詞不遮蔽
option-reset-name = 重設
option-reset-description = 把哪一項改回預設值
option-preset-description = 你的一個預設組合；在這裡另外填寫的優先
setting-invalid = 「{ $setting }」不能設成這個值，請從清單裡選。
words-only = 加在提示詞裡的只能是文字，最多 { $most } 個字元。畫面比例、尺寸、種子等請用各自的選項。
preset-name-invalid = 預設組合的名稱要有 1 到 { $most } 個字元，可以用文字、數字、表情符號、空格和連字號。
no-such-preset = 沒有這個名稱的預設組合。用 `/預設組合 清單` 查看現有的。
preset-empty = 這個預設組合沒有任何內容，請至少填一項設定。
too-many-presets = 你已經有 { $limit } 個預設組合，達到了上限。請先刪除一個。
command-preset-name = 預設組合
command-preset-description = 用一個名稱儲存一組設定
command-preset-save-name = 儲存
command-preset-save-description = 儲存一組設定：取自一張圖片，或由你填寫
command-preset-list-name = 清單
command-preset-list-description = 查看你的預設組合
command-preset-delete-name = 刪除
command-preset-delete-description = 刪除一個預設組合
option-name-name = 名稱
option-image-name = 圖片
option-prefix-name = 前綴
option-size-name = 尺寸
option-negative-name = 不想要的
option-cfg-name = cfg強度
option-guidance-name = 引導強度
option-sampler-name = 取樣器
option-clip-skip-name = clip跳層
option-strength-name = 重繪強度
preset-name = 預設組合的名稱
preset-image = 取這個編號的圖片的設定，不含文字和種子
preset-prefix = 放在你的文字前面
preset-suffix = 放在你的文字後面
preset-strength = 起始圖片重繪多少，大於 0，最大 1
preset-title = 你的預設組合（{ $count } / { $limit }）
preset-none = 還沒有預設組合。用 `/預設組合 儲存` 存一個。
preset-shared = 大家共用：
preset-footer = 在 /imagine 的 preset 選項裡使用
preset-saved = 已儲存預設組合 **{ $name }**：{ $settings }
preset-deleted = 預設組合已刪除。
value-aspect = 畫面比例
value-size = 尺寸
value-steps = 步數
value-model = 模型
value-strength = 重繪強度
defaults-model-gone = 你或本頻道選擇的「{ $model }」已經不在這裡，改用 { $usual } 來畫。
defaults-unfit = { $model } 不支援預設組合裡的這些設定，已去掉：{ $names }
defaults-words-left-out = 提示詞已經太長，你的預設組合或設定裡的文字沒有全部加上。

## 私密圖片和防雷

button-show-me = 👁️ 給我看
queue-private = 🔒 私密
note-private-done = ✅ #{ $job_id } 畫好了，是私密圖片。用 `/紀錄` 查看，只有你看得到。
private-waits-dm = 🔒 私密：只有你看得到這則訊息。畫好後我會用私訊傳給你。
private-waits-button = 🔒 私密：只有你看得到這則訊息。畫好後我會在這裡說一聲，只有你能打開。
private-ready = 🔒 { $who } · 你的私密圖片 { $numbers } 畫好了，只有你能打開。
private-ended = 🔒 { $who } · 你的私密圖片 { $numbers } 已經結束，原因只有你看得到。
private-direct-hint = -# 在伺服器裡用 `/紀錄` 可以再看一次，並使用圖片的按鈕。
private-sent-dm = ✅ 好了，已經用私訊傳給你。
private-sent-button = ✅ 好了，按這個按鈕或頻道裡的按鈕打開。
private-cancelled = 🚫 已取消，沒有人看到任何內容。

## 起始圖片和訊息選單

menu-use = 用作起始圖片
menu-vary = 微調
menu-info = 圖片資訊
menu-remove = 移除
form-file = 哪個檔案
form-picture = 哪張圖片
form-reason = 原因（會告訴送出請求的人）
form-file-use-title = 從這張圖片畫起
form-file-vary-title = 微調這張圖片
form-remove-title = 移除圖片 #{ $job_id }
no-image-here = 這則訊息裡沒有可用的圖片，需要是 PNG、JPEG 或 WebP 附件。
message-forgotten = 我已看不到那則訊息的檔案，請重新打開它的選單。
not-our-message = 我只能移除自己畫的圖片，請直接刪除這則訊息。
nothing-in-file = 這個檔案裡沒有寫它是怎麼畫出來的。
file-says = { $writer ->
        [ours] -# 讀自檔案，格式與本機器人相同。檔案裡的內容任何人都可以改。
        [a1111] -# 讀自檔案，格式與 Stable Diffusion WebUI 相同。檔案裡的內容任何人都可以改。
       *[comfyui] -# 讀自檔案，格式與 ComfyUI 相同。檔案裡的內容任何人都可以改。
    }
request-lost = ⚠️ 還沒拿到你的圖片，我就重新啟動了，這次請求沒有儲存下來。沒有扣你的次數，請再試一次。
download-failed = 暫時無法從 Discord 取得這張圖片，請稍後再試。
download-too-slow = 從 Discord 取這張圖片超過了 { $limit_s } 秒。請再試一次，或換一個小一點的檔案。
option-image-description = 從哪張圖片畫起：PNG、JPEG 或 WebP
option-strength-description = 圖片重畫多少：輕微、適中、強烈，或 0.6、60%
strength-choice = { $name ->
        [subtle] 輕微
        [medium] 適中
        [strong] 強烈
       *[other] 重繪強度
    } · { $value }
flags-taken-strength = 重繪強度 { $value ->
        [subtle] 輕微
        [medium] 適中
        [strong] 強烈
       *[other] { $value }
    }
invalid-image-too-large = 起始圖片超過了 { $max_image_mib } MiB，請換一個小一點的檔案。
invalid-image-too-many-pixels = 起始圖片的像素太多：最多 { $max_image_megapixels }00 萬，PNG 和 WebP 最多 { $max_whole_megapixels }00 萬。
invalid-image-too-long = 起始圖片太細長：長邊最多是短邊的 { $ratio } 倍。
invalid-image-unreadable = 這個檔案不能當成圖片讀取。請用 PNG、JPEG 或 WebP 檔案。
invalid-image-not-offered = { $model } 不能從圖片畫起。請換一個模型，或者不加圖片。
invalid-strength-without-image = 重繪強度表示起始圖片要重畫多少。請加上一張圖片，或者不填重繪強度。

## 隱私

command-privacy-name = 隱私
command-privacy-description = 查看、匯出或刪除儲存的你的資料
command-privacy-show-name = 查看
command-privacy-show-description = 查看儲存了你的哪些資料
command-privacy-export-name = 匯出
command-privacy-export-description = 匯出你的圖片和你的全部資料
command-privacy-delete-name = 刪除
command-privacy-delete-description = 刪除你的圖片和你的全部資料
option-part-name = 分卷
option-part-description = 匯出檔有多個分卷時，要第幾卷
privacy-title = 儲存了你的哪些資料
privacy-no-requests = 沒有請求，也沒有圖片。
privacy-counts = 請求：**{ $jobs }** · 圖片：**{ $images }**（{ $mib } MiB）· 收藏 ⭐：{ $kept } · 私密：{ $hidden } · 排隊或繪製中：{ $unfinished }
privacy-oldest = 最早的請求：{ $when }。
privacy-settings = 設定：{ $names }
privacy-presets = 預設組合：{ $names }
privacy-own-limit = 管理員給你的額度：每天 { $count } 張圖片。
privacy-ban = 你已被禁止繪圖，直到管理員解除。
privacy-ban-until = 禁止繪圖的截止時間：{ $when }。
privacy-where-title = 儲存在哪裡
privacy-where = 在執行我的電腦上：你的 Discord ID、提示詞及其參數和時間存在資料庫裡，圖片和起始圖片存成檔案。執行我的人都看得到。訊息儲存在 Discord 上。
privacy-how-long-title = 保留多久
privacy-how-long = 請求結束後保留 { $days } 天。收藏 ⭐ 的圖片保留到你取消收藏，設定和預設組合保留到你更改。
privacy-delete-title = `/隱私 刪除` 會刪什麼
privacy-delete = 你的圖片（包括收藏的）、提示詞、起始圖片、設定和預設組合、提示詞的編碼快取，以及我發的帶有你圖片的訊息。排隊中的圖片會取消。當天的額度、禁令和管理員設定的額度繼續有效，只記在一個看不出你的名字和 ID 的代碼下。
privacy-stays-title = 哪些刪不了
privacy-stays = 我已無權刪除的訊息；`/查看`、私訊或其他人留下的副本；別人用你的圖片畫出的圖片；別人用相同文字的請求；別處的備份。
privacy-export =
    { $parts ->
        [1] 這是你的全部資料，
       *[other] 這是你的全部資料的第 { $part } 卷（共 { $parts } 卷），
    }{ $images ->
        [0] 這個檔案裡沒有圖片。
       *[other] 這個檔案裡有 { $images } 張圖片。
    }這則訊息只有你看得到。
privacy-export-next = 下一卷：`/隱私 匯出 分卷:{ $next }`
privacy-export-too-large = 有 { $count } 張圖片超過 Discord 的檔案大小限制（{ $names }）。用 `/查看`，再點「更多」→「原始檔案」，可以得到較小的版本；完整檔案可以找執行我的人要。
privacy-export-missing = 有 { $count } 張圖片的檔案已經不在了。
privacy-export-refused = Discord 沒有接收這個檔案：對這裡來說太大了。請到允許更大檔案的伺服器上再試，或找執行我的人要。
privacy-question = **刪除你的全部資料？**
    { $images ->
        [0] 提示詞、設定和預設組合
       *[other] { $images } 張圖片、提示詞、設定和預設組合
    }將永久消失{ $kept ->
        [0] { "" }
       *[other] ，收藏 ⭐ 的也不例外
    }。排隊中的圖片會取消。可以先用 `/隱私 匯出` 留一份副本。
privacy-button = 🗑️ 全部刪除
privacy-erased = 你的全部資料已刪除。我發的帶有你圖片的訊息會按 Discord 允許的速度逐則刪除。
privacy-erased-soon = 你的全部資料已刪除。記憶體裡剩下的部分，等正在畫的圖片畫完就會清除；我發的帶有你圖片的訊息會按 Discord 允許的速度逐則刪除。
privacy-erasing = 正在刪除你的全部資料。這次比平時久，會自動繼續，重新啟動後也不會中斷；用 `/隱私 查看` 可以看到是否已經刪完。
being-erased = 正在刪除你的全部資料，請稍後再試。
already-exporting = 正在為你打包一份副本，請等它完成。

## 放大

# × 後面的數字是每條邊放大的倍數。
button-upscale = ⬆️ 放大
cannot-upscale = { $reason ->
        [again] 圖片 #{ $job_id } 已經放大過了。
       *[other] { $model } 無法放大這個尺寸的圖片。
    }
invalid-upscale-not-offered = { $model } 不支援放大圖片。
card-upscaled = 已放大 ×2。只用這個指令，畫出來的是放大前的尺寸。
info-upscaled = 已放大 ×2，重繪強度 { $strength }
console-upscaled = { $settings } · 已放大 ×2，重繪強度 { $strength }

## 營運

# 顯示在機器人名稱下方，最多 128 個字元；所有伺服器的人都看得到。
presence-idle = /imagine
presence-waiting = { $count } 張排隊
presence-waiting-for = { $count } 張排隊，約 { $time }
presence-paused = 已暫停
presence-paused-waiting = 已暫停，{ $count } 張排隊
presence-paused-until = 已暫停至 { $time }
presence-paused-waiting-until = 已暫停至 { $time }，{ $count } 張排隊
span-seconds = { $count } 秒
span-minutes = { $count } 分鐘
span-hours = { $count } 小時
# 傳給機器人維護者。
alert-paused = ⚠️ 不再開始繪製新圖片。{ $paused }
alert-paused-over = ✅ 佇列已恢復。
alert-engine-failed = 🛑 繪圖引擎發生錯誤，機器人即將結束。排隊的圖片會保留位置。原因請看記錄檔。
alert-restarted = 🔁 我回來了。上次是意外結束：程式當掉、斷電，或程序被強制終止。{ $count ->
        [0] 當時沒有圖片在排隊。
       *[other] { $count } 張圖片保留了位置。
    } { $lost ->
        [0] { "" }
       *[other] { $lost } 張圖片繪製失敗：每次當掉時都正在繪製它們。
    }
alert-disk-low = { $is_full ->
        [1] 🛑 磁碟快滿了：剩餘 { $free_mib } MiB。低於 { $floor_mib } MiB 時不接受新請求。
       *[other] ⚠️ 磁碟空間不多了：剩餘 { $free_mib } MiB。低於 { $floor_mib } MiB 時將不接受新請求。
    }
alert-disk-low-over = ✅ 磁碟又有空間了：剩餘 { $free_mib } MiB。
alert-permission-lost = ⚠️ 我無法再在 { $server } 的 { $channel } 發圖片：遭 Discord 拒絕。請檢查我在那裡的權限。只要對方開放私訊，圖片會以私訊送達。
alert-permission-lost-over = ✅ 我又可以在 { $server } 的 { $channel } 發圖片了。
alert-commands-lost = ⚠️ 我的指令（{ $where }）被其他程式修改或刪除，現已重新註冊；重新載入 Discord（Ctrl+R）後即可看到。
alert-commands-refused = ⚠️ 我無權註冊指令（{ $where }）。請用 `imagine-bot invite` 的連結重新邀請我。
alert-commands-refused-over = ✅ 指令已註冊。
alert-everywhere = 所有伺服器
alert-database-damaged = 🛑 我的資料庫已損毀或遺失，機器人即將結束。處理方式請看 docs/operating.md 的 “A damaged database” 一節；在此之前不會繪圖。
stats-waits = 24 小時內的等待時間：一半圖片不超過 { $half }，95% 不超過 { $most }
stats-people = **本伺服器各成員的繪圖時間**：24 小時 / 7 天
stats-person = { $who } · { $today } / { $week }
stats-models = **各模型的圖片數**（24 小時）：{ $models }
stats-failures = **失敗原因**（24 小時）：{ $failures }
stats-count = { $name } { $count }
stats-failure-generation-failed = 繪製出錯
stats-failure-out-of-memory = 顯示記憶體不足
stats-failure-timeout = 逾時
stats-failure-interrupted = 兩次中斷
stats-failure-model-missing = 缺少模型檔案
stats-failure-invalid-spec = 設定無效
stats-failure-storage = 磁碟
stats-failure-unreadable = 設定損毀
stats-failure-newer-release = 來自較新的版本
stats-failure-blocked = 圖片審查
stats-failure-other = 其他

## Models

model-demo = 展示：表情符號場景

## 提示詞翻譯

prompt-translated = 已翻譯，模型讀到的是：{ $text }
prompt-untranslated = ⚠️ 這次沒能把提示詞翻譯成英文。
negative-foreign = ⚠️ 這個模型只認得英文，而負面提示詞沒能翻譯，請用英文寫。
help-translated = 只認得英文的模型，機器人會先把其他語言的提示詞翻譯成英文，訊息裡兩種都會顯示。

## 用文字修改圖片

failure-input-gone = 這張圖片要用到的一張圖片已不再保存，不計入額度。請附上圖片重新提出。
stats-failure-input-gone = 圖片已不再保存
invalid-references-too-many = 一次修改最多使用 { $limit } 張圖片，請減少幾張。
invalid-references-not-offered = { $model } 無法用文字修改圖片。請換一個模型，或者不要附上圖片。
edit-started-from = { $model } 無法用文字修改圖片，所以改為從你的圖片畫起。請描述想要的整個畫面。
edit-first-only = { $model } 只能使用一張圖片，所以只用了第一張。
edit-strength-unused = 修改圖片時沒有重繪強度，所以忽略了強度。
card-edited = 這張圖片是用文字修改 { $count } 張圖片得到的，指令無法附上這些圖片；只用這個指令，畫出來的會不一樣。
info-edited = 用文字修改，用到 { $count } 張圖片
form-change = 改什麼
form-change-hint = 例如：改成夜晚。加上 --strength 0.6 則改為重畫這張圖片。
form-change-title = 修改圖片 #{ $job_id }
form-file-change-title = 修改這張圖片
edit-say-what = 請在回覆裡寫明要改什麼，例如「改成夜晚」。
edit-images-hidden = Discord 不讓我看到別人訊息裡的圖片。請在那則訊息上開啟「應用程式 → 用作起始圖片」，或把圖片附在回覆裡。
edit-which = 那則訊息裡有好幾張圖片。請在上面開啟「應用程式 → 用作起始圖片」，選其中一張。
edit-original-gone = 你回覆的那則訊息已被刪除。
edit-from-private = 這張圖片是私密的，畫好後會以私訊傳給你。
option-image-edit-description = 要用文字修改的圖片；寫了強度則從它畫起
option-image2-description = 修改時用到的第二張圖片
option-image3-description = 修改時用到的第三張圖片
edit-word-refused = 這些詞裡有這裡不畫的。用 `/imagine` 提出，會只告訴你是哪個。
console-source-more = 另一張圖片
console-way = 怎樣使用圖片
console-way-edit = 用文字修改
console-way-start = 從它畫起
console-edited = { $settings } · 由 { $count } 張圖片修改而成

## LoRA

invalid-loras-unreadable = LoRA 的寫法是名稱，後面可以加強度：`ink:0.8, film`。
invalid-loras-unknown = 這裡沒有名為「{ $name }」的 LoRA。{ $model } 可以用：{ $names }
invalid-loras-none-here = 這裡沒有名為「{ $name }」的 LoRA，也沒有 { $model } 可用的 LoRA。
invalid-loras-other-base = LoRA「{ $name }」不是為 { $model } 訓練的，可以搭配：{ $models }
invalid-loras-no-base = LoRA「{ $name }」不是為 { $model } 訓練的，這裡也沒有它適用的模型。
invalid-loras-many = 一張圖片最多用 { $most } 個 LoRA。
invalid-loras-weight = LoRA 強度必須是 -{ $most } 到 { $most } 的數字，不能是 0，例如 `ink:0.8`。
invalid-loras-not-offered = { $model } 不能使用 LoRA，請拿掉，或換一個模型。
invalid-speed-unknown = 速度只能選 `fast`，不填就是平常的速度。
invalid-speed-not-offered = { $model } 在這裡沒有快速模式，請拿掉速度這一項。
flags-taken-loras = LoRA { $value }
setting-loras = LoRA
settings-loras = LoRA：{ $loras }
lora-triggers = 💡 { $title } 的觸發詞：{ $words }。寫進提示詞裡，效果會更明顯。
option-lora-description = 風格等 LoRA，最多三個，數字是強度，例如 ink:0.8, film
option-speed-description = 快速：步數少得多
speed-fast = 快速：步數更少
console-loras = LoRA
console-loras-hint = 最多三個，可加強度：ink:0.8, film
console-speed = 速度
failure-lora-missing = 這張圖片要用的 LoRA 已經不在了，或者檔案已損壞、不適合這個模型，不計入額度。請拿掉它再畫，或通知機器人維護者。
stats-failure-lora-missing = 缺少 LoRA

## Images of age-restricted channels

age-restricted = 圖片 #{ $job_id } 是在有年齡限制的頻道裡畫的，只能在這樣的頻道裡展示。
## `check` 和 `models` 推薦的模型

recommended-both = { $first }{ $second }
recommended-used = { $model } 適合這台電腦：{ $reads ->
        [zh] 看得懂中文和英文，
        [en] 看得懂英文，
       *[any] {""}
    }每張圖 { $steps } 步，授權{ $commercial ->
        [yes] 允許商用
       *[no] 不允許商用
    }。
recommended-here = 現在用的是 { $used }；{ $model } 更適合這台電腦，檔案也已經在這裡：{ $reads ->
        [zh] 看得懂中文和英文，
        [en] 看得懂英文，
       *[any] {""}
    }每張圖 { $steps } 步，授權{ $commercial ->
        [yes] 允許商用
       *[no] 不允許商用
    }。
recommended-fetch = 現在用的是 { $used }；{ $model } 更適合這台電腦，需要下載 { $size } GB：{ $reads ->
        [zh] 看得懂中文和英文，
        [en] 看得懂英文，
       *[any] {""}
    }每張圖 { $steps } 步，授權{ $commercial ->
        [yes] 允許商用
       *[no] 不允許商用
    }。
recommended-on-cpu-here = 沒有可用的顯示卡，所以用的是 { $used }；{ $model } 也在這裡，每張圖要幾分鐘。
recommended-on-cpu-fetch = 沒有可用的顯示卡，所以用的是 { $used }；下載 { $size } GB 的 { $model } 就能畫各種圖片，每張要幾分鐘。
recommended-only-demo = 這台電腦只能用 { $model }：其他模型需要別的顯示卡或更多記憶體。
recommended-unread = 它只看得懂英文，中文提示詞要靠翻譯模型：imagine-bot fetch translator。
recommended-commercial-here = 商用請選 { $model }，檔案已經在這裡。
recommended-commercial-fetch = 商用請選 { $model }，需要下載 { $size } GB。

## 預設組合裡的 LoRA

option-lora-name = lora模型

## 一張表單裡的多張圖片

form-files = 哪些檔案（最多三個）
form-more = 還要參考的圖片
form-more-hint = 可不填，最多 { $count } 張；總共三張圖片。

## 負面提示詞的譯文

negative-translated = 負面提示詞的譯文：{ $text }
## Operating

command-admin-release-name = 釋放顯示記憶體
command-admin-release-description = 把顯示記憶體讓給其他程式；繪製下一張圖時會重新載入模型
admin-release-done = 模型已移出顯示記憶體。繪製下一張圖時會重新載入；`/admin pause` 可以阻止載入。
admin-release-after-image = 目前的繪製或載入一完成，模型就會移出顯示記憶體。
admin-release-nothing = 顯示記憶體中沒有模型。
admin-no-model = 顯示記憶體中沒有模型，繪製下一張圖時會載入。
flags-taken-fresh = 重新繪製
card-repeat = 💡 這張圖片已經畫過：提示詞、設定和種子都相同。加上 `--fresh` 可以重新繪製。
memory-taken = 🐢 其他程式佔用了 { $gib } GiB 顯示記憶體，所以這次會慢一些。
## 頁面：頁首、範例、圖片

page-model = { $model }
page-queue-idle = 可以開始畫
page-language = 語言
page-help = 說明
page-close = 關閉
page-previous = 上一張圖片
page-next = 下一張圖片
page-welcome = 你想看到什麼？
page-examples-demo = 點一個範例，它就會填到表單裡。這些圖片是內建的示範模型依這些文字畫的。
page-examples-other = 點一個範例，它就會填到表單裡。這些提示詞適合 { $model }。
page-image-label = { $prompt }，{ $job_id } 號，{ $time }
page-look-closely = 放大檢視：{ $prompt }，{ $job_id } 號
page-nothing-found = 沒有符合條件的圖片。
page-kept-only = 只看收藏的圖片
page-all-models = 全部模型
page-models = 模型
page-select = 選取
page-select-done = 完成
page-selected = 已選 { $n } 張
page-zip = ⬇ 下載為 ZIP
page-keep = ⭐ 收藏
page-delete = 🗑️ 刪除
page-compare = 對比
page-compare-hint = 請正好選取兩張圖片進行對比。
page-too-many = 一個 ZIP 檔最多 { $most } 張圖片。
page-delete-one = 永久刪除這張圖片？檔案和提示詞都會消失，但仍計入今天的限額。
page-delete-many = 永久刪除這 { $n } 張圖片？檔案和提示詞都會消失，但仍計入今天的限額。
page-yes-delete = 永久刪除
page-no = 取消
page-drop = 放開即可使用這張圖片
page-used = 圖片已放到表單的「更多設定」裡。
page-not-used = 這不是可用的圖片。支援 PNG、JPEG 和 WebP。
page-keys = 快速鍵
page-key-draw = 開始畫
page-key-arrows = 在圖片之間移動
page-key-enter = 放大顯示圖片
page-key-select = 選取圖片
page-key-keep = 收藏圖片，或取消收藏
page-key-delete = 刪除圖片（會先詢問）
page-key-escape = 關閉開啟的內容
page-help-draw = 寫下想畫的內容，然後點「開始畫」。期間可以關閉頁面：圖片會繼續畫好，在這裡等你。
page-help-images = 點一張圖片可以放大檢視。下面是繼續的方式：換種子再畫、改文字、微調或放大。
page-help-input = 要從一張圖片開始，把它拖到頁面任意位置或直接貼上。自己的圖片也可以拖。
page-kept = 已收藏 { $count } 張圖片。
page-kept-no-longer = 已取消收藏 { $count } 張圖片。
page-deleted = 已刪除 { $count } 張圖片。
page-help-known = 這個模型能畫的全部 { $count } 種東西
page-help-private = 造訪這個頁面的人裡，只有這個瀏覽器看得到你的圖片；執行本服務的人也看得到。它們保存 { $days } 天，收藏（⭐）的會一直保留。

## The page's form, when it is offline, and its operator's corner

console-unsent = 服務沒有回應，沒有任何內容加入佇列。你寫的內容會留在這裡：服務恢復後請再按一次「開始畫」。
console-ready = 圖片已完成：
console-room = { $count ->
        [0] 你的額度目前已滿。
       *[other] 你的額度目前還能容納 { $count } 張圖片。
    }
console-drop-one = { $asked } 張中有 { $queued } 張已加入佇列，最後一張放不下：{ $reason }
console-drop-some = { $asked } 張中有 { $queued } 張已加入佇列，另外 { $dropped } 張放不下：{ $reason }
page-operator = 管理角
operator-title = 管理角
operator-back = 返回頁面
operator-leave = 離開
operator-enter = 進入
operator-enter-hint = 這裡只供執行本服務的人使用。
operator-password = 管理密碼
operator-closed = 這裡需要管理密碼。
operator-wrong = 管理密碼不對。
operator-too-many = 同時嘗試的密碼太多，請幾秒後再試。
operator-queue = 佇列
operator-queue-empty = 沒有正在畫的圖片，也沒有人在等待。
operator-moving = 正常接收任務並繪製。
operator-day = 24 小時內：完成 { $done }，失敗 { $failed }，取消 { $cancelled }，繪製用時 { $drawn }。已執行 { $uptime }。
operator-cancel-one = 取消圖片 #{ $job_id }
operator-reason = 暫停原因（可不填，所有等待的人都會看到）
operator-until = 直到（可不填）
operator-until-hint = 30m、18:00
operator-pause = 暫停
operator-resume = 繼續
operator-runners = 執行者
operator-runner = 執行者 { $number }
operator-runner-empty = 記憶體中沒有模型
operator-runner-holds = 記憶體中是 { $model }
operator-runner-draws = 正在畫圖片 #{ $job_id }
operator-runner-loads = 正在載入模型，約剩 { $left }
operator-runner-rests = 多次失敗，休息 { $left }
operator-runner-idle = 閒置
operator-storage = 儲存空間
operator-storage-sizes = 資料庫 { $database } · 圖片檔案 { $images } 個，{ $image_size } · 剩餘空間 { $free }
operator-storage-unreadable = 無法讀取大小，原因見日誌。
operator-limits = 上限
operator-limits-hint = 在設定檔中修改，下次啟動後生效。
operator-limit-max-waiting = 等待的圖片總數
operator-limit-max-active-per-user = 每人同時的請求數
operator-limit-max-images-per-day = 每人 24 小時內的圖片數
operator-limit-cooldown-s = 有人等待時，同一人兩次請求間隔的秒數
operator-limit-max-pixel-steps = 一張圖片的像素 × 步數
operator-limit-people-per-address = 一個網路位址最多相當於幾個人
operator-limit-history-days = 圖片保留的天數
operator-limit-min-free-mib = 磁碟剩餘少於多少 MiB 時不再接收任務
operator-log = 日誌
operator-log-hint = 最近的日誌，不含提示詞和密碼。
trouble-more = 解決辦法：docs/troubleshooting.zh-CN.md#{ $entry }

## Backups and the GPU's memory in the operator's corner

operator-backup = 立即備份
operator-backup-made = 備份已完成並驗證：{ $file }，{ $images } 張圖片，{ $size }。
operator-backup-lacks = 資料庫中有 { $count } 張圖片無法開啟，未包含在內。
operator-backup-failed = 無法備份：{ $reason }
operator-release = 釋放顯示卡記憶體
operator-released = 模型已離開記憶體。畫下一張圖片時會重新載入；暫停可以讓它不再載入。

## What the parts of the page's fields are called aloud

page-reset = 恢復預設值
page-upload = 上傳圖片
page-paste = 貼上圖片
